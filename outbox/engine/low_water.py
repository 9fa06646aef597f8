"""Where claims begin to read the queue. Pure: the clock comes in.

A finished delivery leaves an entry in the index of ready ones, which stays as long as any session holds a snapshot from
before: under a report or a backup each claim would read past all that was done since. While there is a backlog a claim
therefore begins at a low-water mark, a place that claims had left behind some time before.

Nothing depends on the mark being right. What becomes ready below it (a transaction that commits late, a retry, a
worker's rollback) is found by a full look, which each second brings, and which a claim makes before it says that there
is nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

FULL_LOOK_SECONDS = 1.0
TRAIL_SECONDS = 0.25
"""How long a place must have been left behind to become the mark: most transactions are shorter."""


class Place(NamedTuple):
    """A place in the order in which the deliveries of one consumer are claimed."""

    priority: int
    id: int


BEGINNING = Place(-32_768, 0)


@dataclass(slots=True)
class _Mark:
    place: Place
    next: Place
    moved_at: float
    looked_at: float
    """When a claim last began at the beginning."""


class LowWater:
    """The marks of one process, by consumer."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._marks: dict[str, _Mark] = {}

    def start(self, consumer: str) -> Place:
        """Return where the next claim begins."""
        mark = self._marks.get(consumer)
        if mark is None or self._clock() - mark.looked_at >= FULL_LOOK_SECONDS:
            return BEGINNING
        return mark.place

    def claimed(self, consumer: str, began: Place, first: Place) -> None:
        """Take note of a claim that began at `began`, got as many as it asked for, and found `first`."""
        now = self._clock()
        mark = self._marks.get(consumer)
        if mark is None:
            self._marks[consumer] = _Mark(BEGINNING, first, now, now)
            return
        if began == BEGINNING:
            mark.looked_at = now
        if now - mark.moved_at >= TRAIL_SECONDS:
            mark.place, mark.next, mark.moved_at = mark.next, first, now

    def forget(self, consumer: str) -> None:
        """Begin at the beginning again: the backlog is over, or something older became ready."""
        self._marks.pop(consumer, None)
