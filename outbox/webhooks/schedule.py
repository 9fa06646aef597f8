"""When a delivery that failed is tried again. Pure."""

import random
from datetime import timedelta

RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Waits after the first, second … failed attempt: 28 hours in all."""
ATTEMPTS = len(RETRY_SECONDS) + 1
JITTER = 0.1
"""Share by which a wait is shortened or lengthened by chance, so that what failed together is not repeated together."""
LONGEST_PAUSE = timedelta(hours=24)
"""How far a receiver's Retry-After is followed."""

FAILURES_UNTIL_PROBING = 3
"""Failures in a row after which one delivery at a time is tried, and pauses begin."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
PROBE_DISABLED_SECONDS = 3_600.0
"""How often an endpoint that was disabled for failing is tried."""


def next_attempt_in(attempt: int, retry_after: float | None) -> timedelta | None:
    """Return the wait after failed attempt number `attempt` (from 1), None when it was the last.

    A receiver that says when to come back is believed, but not for longer than LONGEST_PAUSE.
    """
    if attempt >= ATTEMPTS:
        return None
    seconds = RETRY_SECONDS[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, not a secret
    return min(LONGEST_PAUSE, timedelta(seconds=max(seconds, retry_after or 0.0)))


def pause_after(openings: int) -> timedelta:
    """Return how long an endpoint is left alone when it has failed too often in a row, for the n-th time."""
    return timedelta(seconds=min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(openings, 20)))
