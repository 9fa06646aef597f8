"""What has been done so far, counted while others do it."""

import time
from collections.abc import Sequence

from tests.bench.measuring import wait_until
from tests.bench.models import Item

LOOK_SECONDS = 0.1
"""Between two counts: often enough for the figure, seldom enough not to be in the way."""


def touched() -> int:
    """Count the items that have been touched."""
    return Item.objects.filter(touched__gt=0).count()


def watch(tasks: int) -> list[tuple[float, int]]:
    """Return when how many items had been touched, until as many are as there are tasks."""
    looks: list[tuple[float, int]] = []

    def all_done() -> bool:
        looks.append((time.monotonic(), touched()))
        return looks[-1][1] >= tasks

    wait_until(all_done, what="the last effect", every=LOOK_SECONDS)
    return looks


def steady_rate(looks: Sequence[tuple[float, int]], tasks: int) -> float:
    """Return the tasks per second from the first look that found some done to the last one before all were.

    So neither starting counts, nor the time between the end and the look that found it.
    """
    between = [look for look in looks if 0 < look[1] < tasks]
    if len(between) < 2:
        raise TimeoutError(f"{tasks} tasks were done between two looks; there must be more")
    (began, first), (ended, last) = between[0], between[-1]
    return (last - first) / (ended - began)
