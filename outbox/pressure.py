"""Back-pressure: how much may wait for a consumer before work that can wait is no longer added to it.

What happens now is always taken: publishing is one insert, whatever the backlog. What somebody brings up again in bulk
(a replay, dead letters that are retried by the thousand) asks here first, and goes on when there is room. Only what is
ready counts: retries, timers and what is held come back of themselves, each at its time.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db import connection

from outbox.conf import conf
from outbox.consumers import all_consumers, find
from outbox.models import Delivery

LOOK_AGAIN_SECONDS = 0.2
LOOK_EVERY = 100
"""Deliveries that may be added between two looks; the bound is passed by no more than this."""

_OVER = """
SELECT name, bound FROM unnest(%s::text[], %s::int[]) AS declared (name, bound)
WHERE EXISTS (
    SELECT 1 FROM outbox_delivery WHERE consumer = name AND state = 'ready'
    ORDER BY priority, id OFFSET bound LIMIT 1
)
"""
"""In the order of the index, so that it reads one consumer's entries, and no more of them than its bound."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A consumer for which more waits than should."""

    consumer: str
    bound: int
    """What may wait."""

    def __str__(self) -> str:
        return f"more than {self.bound:,} messages wait for {self.consumer}"


Told = Callable[[Backlog], object]


def bound_of(consumer: str) -> int:
    """Return how many messages may be ready for a consumer before its backlog is over its bound."""
    entry = find(consumer)
    declared = entry.max_pending if entry is not None else None
    return conf.MAX_PENDING if declared is None else declared


def over_bounds(consumers: Collection[str] | None = None) -> list[Backlog]:
    """Return which of `consumers` (all when not given) are over their bounds. Counts no further than those."""
    names = sorted(consumers) if consumers is not None else [entry.name for entry in all_consumers()]
    with connection.cursor() as cursor:
        cursor.execute(_OVER, (names, [bound_of(name) for name in names]))
        return [Backlog(*row) for row in cursor.fetchall()]


def wait_for_room(consumers: Collection[str], told: Told) -> None:
    """Return when none of `consumers` is over its bound; tell once of the one that is waited for.

    Call it outside a transaction. It waits as long as it takes: whoever adds work in bulk can be interrupted.
    """
    backlogs = over_bounds(consumers)
    if backlogs:
        told(backlogs[0])
    while backlogs:
        time.sleep(LOOK_AGAIN_SECONDS)
        backlogs = over_bounds(consumers)


def as_there_is_room(delivery_ids: Sequence[int], told: Told) -> Iterator[int]:
    """Yield deliveries as there is room for them with their consumers."""
    for start in range(0, len(delivery_ids), LOOK_EVERY):
        portion = delivery_ids[start : start + LOOK_EVERY]
        consumers = set(Delivery.objects.filter(id__in=portion).values_list("consumer", flat=True))
        wait_for_room(consumers, told)
        yield from portion
