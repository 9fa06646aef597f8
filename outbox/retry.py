"""How long to wait before trying again. Pure: no clock, no database."""

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter, capped.

    Source of the technique: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    attempts: int = 8
    """Attempts in all, the first included; then the delivery becomes a dead letter."""
    base_seconds: float = 1.0
    cap_seconds: float = 3600.0

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait in seconds after failed attempt number `attempt` (from 1)."""
        return float(min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60)))

    def delay(self, attempt: int) -> timedelta:
        """Return a wait drawn evenly from a tenth of the ceiling up to the ceiling.

        The floor keeps a retry from following at once on what made it fail.
        """
        ceiling = self.ceiling(attempt)
        return timedelta(seconds=random.uniform(ceiling / 10, ceiling))  # noqa: S311 - jitter, not a secret

    def span(self) -> timedelta:
        """Return how long all attempts may take together, waits only."""
        return timedelta(seconds=sum(self.ceiling(attempt) for attempt in range(1, self.attempts)))

    def is_last(self, attempt: int) -> bool:
        """Tell whether attempt number `attempt` was the last one allowed."""
        return attempt >= self.attempts
