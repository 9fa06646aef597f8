"""What can become of an attempt. Pure: imports no Django.

A handler that knows why it cannot do its work now *returns* so: snooze(), retry_after() or permanent(). What nobody
expects is *raised*, deep in an adapter or by anybody's code. Either way nothing of the attempt stays.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


class Outcome(Exception):
    """Root of what may be raised to steer a delivery, by whoever cannot return to its handler."""


class Snooze(Outcome):
    """Not now: come back after `delay`. Burns no attempt."""

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay


class Throttled(Outcome):
    """The destination asks for a pause of `retry_after` seconds. Burns no attempt; nobody calls it before then."""

    def __init__(self, reason: str, *, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Transient(Outcome):
    """It failed, and may work later. `unknown`: it may even have worked, the answer is missing."""

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown


class Permanent(Outcome):
    """It failed, and trying again cannot help: a dead letter at once."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """What a handler returns instead of having done its work. Made by snooze(), retry_after() and permanent()."""

    kind: Literal["snooze", "retry_after", "permanent"]
    reason: str
    delay: timedelta = timedelta(0)

    def as_error(self) -> Outcome:
        """Return the error that would have said the same."""
        if self.kind == "snooze":
            return Snooze(self.delay, self.reason)
        if self.kind == "retry_after":
            return Throttled(self.reason, retry_after=self.delay.total_seconds())
        return Permanent(self.reason)


def snooze(delay: timedelta, reason: str) -> NotDone:
    """Not now: something of ours is not ready; come back after `delay`. Burns no attempt, and leaves no trace."""
    return NotDone("snooze", reason, _later(delay))


def retry_after(delay: timedelta, reason: str) -> NotDone:
    """Whoever is called asks for a pause. Burns no attempt; nobody calls that destination before then."""
    return NotDone("retry_after", reason, _later(delay))


def permanent(reason: str) -> NotDone:
    """It cannot be done, and trying again cannot help: a dead letter at once, for a person."""
    return NotDone("permanent", reason)


def _later(delay: timedelta) -> timedelta:
    if delay < timedelta(0):
        raise ValueError(f"What is put off is put off to later, not by {delay}")
    return delay


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, as told to a consumer's `failed`."""

    error: BaseException
    """What was raised; of an outcome that was returned, the error that says the same."""
    unknown: bool
    """The call may have had its effect; only the answer is missing."""
    attempt: int
    """Counts from 1."""
    final: bool
    """No further attempt will be made: the delivery becomes a dead letter."""
