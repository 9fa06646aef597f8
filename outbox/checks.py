"""System checks: what contracts and consumers declare must fit together before anything starts."""

from typing import Any

from django.core.checks import CheckMessage, Error

from outbox.consumers import problems


def check_consumers(**_options: Any) -> list[CheckMessage]:
    """Report messages that nobody handles, and promises that a consumer cannot keep, as outbox.E001."""
    hint = "Declare the consumer in the app's handlers.py, or mend the contract's semantics."
    return [Error(problem, hint=hint, id="outbox.E001") for problem in problems()]
