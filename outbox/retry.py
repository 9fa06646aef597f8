"""Retry policies: how failures are taken, how long to wait before trying again, and when to give up.

Values, without a clock or a database: the engine asks them.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Kind(StrEnum):
    """How a policy takes an error that is no outcome of its own (outbox/outcomes.py)."""

    TRANSIENT = "transient"
    """It did not work, and may work later."""
    UNKNOWN = "unknown"
    """As transient, but a call may have had its effect."""
    THROTTLED = "throttled"
    """A pause is asked for: of the error's own `retry_after` (seconds), else of the length of a retry's wait."""
    PERMANENT = "permanent"
    """Trying again cannot help."""


Classify = Callable[[BaseException], Kind | None]
"""Tells how an error is to be taken; None for one that it does not know, which is then tried again."""


@dataclass(frozen=True, slots=True)
class ByType:
    """Takes errors by their classes, the nearest class first, as `except` would. Made by by_type()."""

    kinds: tuple[tuple[type[BaseException], Kind], ...]

    def __call__(self, error: BaseException) -> Kind | None:
        """See Classify."""
        known = dict(self.kinds)
        return next((known[cls] for cls in type(error).__mro__ if cls in known), None)


def by_type(kinds: Mapping[type[BaseException], Kind]) -> ByType:
    """Take errors as `kinds` says of their classes, or of the nearest class that they inherit from."""
    return ByType(tuple(kinds.items()))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter, capped; how often, for how long, and for which errors.

    Source of the technique: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    attempts: int = 8
    """Attempts in all, the first included; then the delivery becomes a dead letter."""
    base_seconds: float = 1.0
    """Longest wait after the first failure; it doubles with each."""
    cap_seconds: float = 3600.0
    jitter: float = 0.9
    """Which part of a wait is drawn by lot, 0 (always the longest) to 1."""
    deadline: timedelta | None = None
    """How long after its first attempt began another one may begin: one that would begin later is not waited for.
    It bounds snoozes and pauses, too. None: attempts alone count. `deliver_by` counts from the publication."""
    classify: Classify | None = None
    """How errors are taken that are no outcomes; None: each may work later."""

    def __post_init__(self) -> None:
        """Raise ValueError for a policy that cannot be meant."""
        if self.attempts < 1 or not 0 <= self.jitter <= 1:
            raise ValueError("A policy allows at least one attempt, and its jitter is a part of 1")
        if self.deadline is not None and self.deadline <= timedelta(0):
            raise ValueError("A deadline leaves some time after the first attempt")

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait in seconds after failed attempt number `attempt` (from 1)."""
        return float(min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60)))

    def delay(self, attempt: int) -> timedelta:
        """Return a wait drawn evenly from the ceiling and `jitter` below it.

        The usual floor of a tenth keeps a retry from following at once on what made it fail.
        """
        ceiling = self.ceiling(attempt)
        seconds = random.uniform(ceiling * (1 - self.jitter), ceiling)  # noqa: S311 - jitter, not a secret
        return timedelta(seconds=seconds)

    def span(self) -> timedelta:
        """Return how long all attempts may take together, waits only."""
        waits = timedelta(seconds=sum(self.ceiling(attempt) for attempt in range(1, self.attempts)))
        return waits if self.deadline is None else min(waits, self.deadline)

    def is_last(self, attempt: int) -> bool:
        """Tell whether attempt number `attempt` was the last one allowed."""
        return attempt >= self.attempts
