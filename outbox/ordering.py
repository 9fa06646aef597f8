"""Ordering keys: one delivery of a key at a time, in order of publication, and no other key waits for it.

Only the head of a key is ever claimable; its successors are `held`, whatever the head waits for: a worker, its time, a
retry, an operator. What ends the head (done, discarded, skipped, expired, cancelled) makes the next one ready.

The row of the key in `outbox_ordering_key` is the lock under which places are given out and successors released, so
that no successor is missed: ids are not in order of COMMIT. It is taken at the very end of a transaction, for all keys
concerned in one sorted statement, and goes with the last delivery of the key.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

Key = tuple[str, str]
"""(consumer, ordering key)."""

_TAKE = """
INSERT INTO outbox_ordering_key (consumer, key, last)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) ORDER BY 1, 2
ON CONFLICT (consumer, key) DO UPDATE SET last = outbox_ordering_key.last + excluded.last
RETURNING consumer, key, last
"""
INSERT = """
INSERT INTO outbox_delivery (
    message_id, consumer, priority, deliver_by, ordering_key, place, due_at, state, fair_key, turn
)
SELECT message_id, consumer, priority,
       least(deadline, now() + make_interval(secs => allowed)), ordering_key, place,
       now() + make_interval(secs => delay),
       CASE WHEN place > 1 THEN 'held' WHEN delay IS NULL THEN 'ready' ELSE 'scheduled' END,
       fair_key, CASE WHEN fair_key IS NOT NULL THEN greatest(front.turn, own.turn + 1, 0)
                     + row_number() OVER (PARTITION BY consumer, fair_key ORDER BY nth) - 1 END
FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::float[], %s::timestamptz[], %s::float[], %s::text[],
            %s::text[], %s::bigint[])
     WITH ORDINALITY
     AS queue (message_id, consumer, priority, delay, deadline, allowed, ordering_key, fair_key, place, nth)
LEFT JOIN LATERAL (
    SELECT turn FROM outbox_delivery d
    WHERE d.consumer = queue.consumer AND d.priority = queue.priority AND d.state = 'ready' AND d.turn IS NOT NULL
    ORDER BY turn LIMIT 1
) front ON fair_key IS NOT NULL
LEFT JOIN LATERAL (
    SELECT turn FROM outbox_delivery d WHERE d.consumer = queue.consumer AND d.fair_key = queue.fair_key
    ORDER BY turn DESC LIMIT 1
) own ON true
ORDER BY place, nth
"""
"""The turn of a delivery with a fair key is the one after its key's last, and no earlier than what is served now: see
engine/fairness.py. Neither is looked for without such a key.
"""
_RELEASE = """
WITH taken AS (
    SELECT * FROM unnest(%s::text[], %s::text[]) AS taken (consumer, key)
), head AS (
    SELECT first.id FROM taken CROSS JOIN LATERAL (
        SELECT id, state FROM outbox_delivery d WHERE d.consumer = taken.consumer AND d.ordering_key = taken.key
        ORDER BY place LIMIT 1
    ) first WHERE first.state = 'held'
), left_empty AS (
    DELETE FROM outbox_ordering_key o USING taken
    WHERE o.consumer = taken.consumer AND o.key = taken.key AND NOT EXISTS (
        SELECT 1 FROM outbox_delivery d WHERE d.consumer = o.consumer AND d.ordering_key = o.key
    )
)
UPDATE outbox_delivery d
SET state = CASE WHEN due_at > now() THEN 'scheduled' ELSE 'ready' END,
    due_at = CASE WHEN due_at > now() THEN due_at END, enqueued_at = now()
FROM head WHERE d.id = head.id
RETURNING d.consumer, extract(epoch FROM due_at - now())::float
"""
_STRANDED = """
SELECT consumer, key FROM outbox_ordering_key o
WHERE coalesce((
    SELECT state = 'held' FROM outbox_delivery d WHERE d.consumer = o.consumer AND d.ordering_key = o.key
    ORDER BY place LIMIT 1
), true)
"""


class ParticularDelivery(NamedTuple):
    """A delivery with an ordering key, a fair key or a deadline, as its columns."""

    message_id: UUID
    consumer: str
    priority: int
    delay: float | None
    """Seconds, None for at once."""
    deadline: datetime | None
    allowed: float | None
    """The deadline as seconds from now."""
    ordering_key: str | None
    fair_key: str | None = None


class Released(NamedTuple):
    """A successor that may go now."""

    consumer: str
    due_in: float | None
    """Seconds until it may; None for at once."""


def write(deliveries: Collection[ParticularDelivery], ended: Collection[Key]) -> list[Released]:
    """Write `deliveries` behind those of their keys that are unfinished, and release the successors of `ended` ones.

    Call it last in a transaction: it takes the locks of all keys concerned. Returns what it released.
    """
    wanted = Counter((one.consumer, one.ordering_key) for one in deliveries if one.ordering_key is not None)
    last = take([*wanted.elements(), *ended], wanted) if wanted or ended else {}
    if deliveries:
        _insert(deliveries, {key: last[key] - count for key, count in wanted.items()})
    return _release(ended) if ended else []


def without_places(deliveries: Collection[ParticularDelivery]) -> list[list[Any]]:
    """Return what INSERT needs for deliveries of which none has an ordering key."""
    return [*([*column] for column in zip(*deliveries, strict=True)), [None] * len(deliveries)]


def take(keys: Collection[Key], wanted: "Counter[Key] | None" = None) -> dict[Key, int]:
    """Lock `keys`, all in one order, giving out as many places of each as are `wanted`; return the last of each."""
    wanted = wanted or Counter()
    distinct = list(set(keys))  # the statement sorts them
    columns = [*_columns(distinct), [wanted[key] for key in distinct]]
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, columns)
        return {(consumer, key): last for consumer, key, last in cursor.fetchall()}


def release_stranded() -> list[Released]:
    """Release successors that something other than the engine left without a head; return them.

    A worker of a release that knows no order ends a head and leaves its successors held.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STRANDED)
        keys: list[Key] = cursor.fetchall()
    if not keys:
        return []
    take(keys)
    return _release(keys)


def _insert(deliveries: Collection[ParticularDelivery], given: dict[Key, int]) -> None:
    """Insert `deliveries` with the places that follow on those `given` before."""
    places: list[int | None] = []
    for one in deliveries:
        if one.ordering_key is None:
            places.append(None)
        else:
            given[one.consumer, one.ordering_key] += 1
            places.append(given[one.consumer, one.ordering_key])
    columns = [list(column) for column in zip(*deliveries, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [*columns, places])


def _release(keys: Collection[Key]) -> list[Released]:
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, _columns(keys))
        return [Released(*row) for row in cursor.fetchall()]


def _columns(keys: Collection[Key]) -> list[list[Any]]:
    return [[consumer for consumer, _ in keys], [key for _, key in keys]]
