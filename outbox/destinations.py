"""Destinations: who is called outside, and how hard they may be called. Pure: imports no Django.

Limits hold over all workers and hosts: they are counted in the database (outbox/gates.py). What is declared here is
what holds by default; operators may set other figures while everything runs (outbox/throttles.py).
"""

from dataclasses import dataclass, field

CONCURRENCY = 50


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many of the calls of a sliding window may be repetitions of calls that failed.

    More would turn a destination's trouble into a storm. A repetition beyond the budget waits, and burns no attempt.
    Source of the technique: "Addressing Cascading Failures", Site Reliability Engineering, O'Reilly 2016.
    """

    share: float = 0.2
    """Part of all calls of the window, 0 to 1."""
    minimum: int = 50
    """Repetitions that are allowed in a window however few calls there are."""
    window_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Destination:
    """Someone outside, with a circuit breaker and limits of its own. None means no limit."""

    name: str
    """Permanent: it names the shared row."""
    concurrency: int | None = CONCURRENCY
    """Calls in flight at once, over all workers."""
    rate_per_second: float | None = None
    """Calls begun per second, over all workers."""
    burst: int | None = None
    """Calls that may begin at once after a quiet time; as many as a second allows when not given."""
    retry_budget: RetryBudget | None = field(default_factory=RetryBudget)

    @property
    def bucket(self) -> float:
        """Return how many calls may begin at once when a rate holds."""
        return float(self.burst or max(1.0, self.rate_per_second or 1.0))
