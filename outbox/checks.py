"""System checks: what contracts and consumers declare must fit together before anything starts."""

from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage, Error

from outbox.conf import conf
from outbox.consumers import all_consumers, problems
from outbox.retry import RetryPolicy


def check_consumers(**_options: Any) -> list[CheckMessage]:
    """Report messages that nobody handles, and promises that a consumer cannot keep, as outbox.E001."""
    hint = "Declare the consumer in the app's handlers.py, or mend the contract's semantics."
    return [Error(problem, hint=hint, id="outbox.E001") for problem in problems()]


def check_retention(**_options: Any) -> list[CheckMessage]:
    """Report settings under which something may be forgotten that can still be needed, as outbox.E002."""
    hint = "Keep it longer; docs/how-to/keep-the-queue-healthy.md says what each setting is for."
    return [Error(problem, hint=hint, id="outbox.E002") for problem in _forgetful()]


def _forgetful() -> list[str]:
    usual = RetryPolicy(attempts=conf.MAX_ATTEMPTS, cap_seconds=conf.BACKOFF_CAP_SECONDS)
    tried = max(((entry.retry or usual).span() for entry in all_consumers()), default=timedelta(0))
    waits = tried + timedelta(days=conf.DEAD_LETTERS_WAIT_DAYS)
    kept = {name: getattr(conf, name) for name in ("MESSAGES_KEPT_DAYS", "RECEIPTS_KEPT_DAYS", "ATTEMPTS_KEPT_DAYS")}
    found = [
        f"{name} is {days}, but a message may be tried for {tried.total_seconds() / 86_400:.1f} days and then wait "
        f"{conf.DEAD_LETTERS_WAIT_DAYS} days (DEAD_LETTERS_WAIT_DAYS) for a person."
        for name, days in kept.items()
        if timedelta(days=days) <= waits
    ]
    if conf.RECEIPTS_KEPT_DAYS < conf.MESSAGES_KEPT_DAYS:
        found.append("RECEIPTS_KEPT_DAYS is less than MESSAGES_KEPT_DAYS: a message must not outlive its receipts.")
    return found
