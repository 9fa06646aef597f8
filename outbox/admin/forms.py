"""What operators type into the console's forms: numbers, a time, limits."""

from datetime import timedelta

from django.http import QueryDict

from outbox.errors import IllegalOperation
from outbox.throttles import Throttle

LONGEST_MINUTES = 60 * 24 * 366


def number(form: QueryDict, field: str) -> float | None:
    """Read a number; None for an empty field. Raises IllegalOperation for anything else."""
    text = form.get(field, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise IllegalOperation(f"{text!r} is no number.") from None


def lasting(form: QueryDict) -> timedelta | None:
    """Read for how many minutes something shall hold; None: without an end. Raises IllegalOperation."""
    minutes = number(form, "minutes")
    if minutes is not None and not 0 < minutes <= LONGEST_MINUTES:
        raise IllegalOperation("A time is above zero, and no longer than a year.")
    return None if minutes is None else timedelta(minutes=minutes)


def throttle(form: QueryDict) -> Throttle:
    """Read the limits that shall hold. Raises IllegalOperation for what is no number, or no whole one."""
    at_once = number(form, "concurrency")
    if at_once is not None and not at_once.is_integer():
        raise IllegalOperation(f"{at_once:g} is no whole number.")
    return Throttle(None if at_once is None else int(at_once), number(form, "per_second"), lasting(form))
