"""What can become of an attempt, as values and as the errors that handlers raise to say so."""

from dataclasses import dataclass
from datetime import timedelta


class Outcome(Exception):
    """Root of what a handler may raise to steer its delivery."""


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
class Failure:
    """One failed attempt, as told to a consumer's `failed`."""

    error: BaseException
    unknown: bool
    """The call may have had its effect; only the answer is missing."""
    attempt: int
    """Counts from 1."""
    final: bool
    """No further attempt will be made: the delivery becomes a dead letter."""
