"""The queue's SQL, each statement with its purpose. Claims go by state and row lock, never by `id > last seen`:
ids become visible out of order, and a cursor would skip late commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.db import connection

from outbox.conf import conf
from outbox.consumers import Incoming
from outbox.engine.low_water import BEGINNING, LowWater, Place
from outbox.postgresql.arrays import array
from outbox.publishing import open_unit

PROMOTED_AT_ONCE = 500
_headers = msgspec.json.Decoder(dict[str, Any])
_COLUMNS = """
    d.id, d.consumer, d.attempts, d.crashes, d.ordering_key, m.id, m.name, m.version, m.payload::text, m.headers::text,
    m.correlation_id, m.causation_id, m.actor, m.created_at,
    extract(epoch FROM clock_timestamp() - CASE WHEN d.attempts = 0 THEN d.enqueued_at ELSE m.created_at END)::float8
"""
_CLAIMED_FROM = """
    SELECT id, consumer, attempts, crashes, ordering_key, message_id, enqueued_at, priority FROM outbox_delivery
    WHERE consumer = %s::text AND state = 'ready'
"""
_NOT_EXPIRED = "(deliver_by IS NULL OR deliver_by > now()) ORDER BY priority, id LIMIT %s FOR UPDATE SKIP LOCKED"
_WITH_MESSAGE = "CROSS JOIN LATERAL (SELECT * FROM outbox_message WHERE id = d.message_id OFFSET 0) m"
"""OFFSET 0 keeps the planner from reading a whole partition of messages when its statistics are old."""
_CLAIM = f"""
SELECT {_COLUMNS}, d.priority FROM ({_CLAIMED_FROM} AND {_NOT_EXPIRED}) d {_WITH_MESSAGE} ORDER BY d.priority, d.id
"""  # noqa: S608 - constants of ours
_CLAIM_ABOVE = f"""
WITH ahead AS (
    SELECT min(priority) AS priority FROM outbox_delivery
    WHERE consumer = %s::text AND state = 'ready' AND priority < (%s)::smallint
)
SELECT {_COLUMNS}, d.priority FROM (
    {_CLAIMED_FROM} AND (priority, id) >= (
        coalesce((SELECT priority FROM ahead), (%s)::smallint),
        CASE WHEN (SELECT priority FROM ahead) IS NULL THEN %s::bigint ELSE 0 END
    ) AND {_NOT_EXPIRED}
) d {_WITH_MESSAGE} ORDER BY d.priority, d.id
"""  # noqa: S608 - constants of ours
"""Begins at a low-water mark; what goes before it by its priority is not passed over."""
_CLAIM_FAIRLY = f"""
WITH in_turn AS (
    SELECT id FROM outbox_delivery
    WHERE consumer = %s AND state = 'ready' AND turn IS NOT NULL AND (deliver_by IS NULL OR deliver_by > now())
    ORDER BY priority, turn, id LIMIT %s FOR UPDATE SKIP LOCKED
), others AS (
    SELECT id FROM outbox_delivery
    WHERE consumer = %s AND state = 'ready' AND turn IS NULL AND (deliver_by IS NULL OR deliver_by > now())
    ORDER BY priority, id LIMIT greatest(0, %s - (SELECT count(*) FROM in_turn)) FOR UPDATE SKIP LOCKED
)
SELECT {_COLUMNS} FROM (SELECT id FROM in_turn UNION ALL SELECT id FROM others) taken
JOIN outbox_delivery d USING (id) JOIN outbox_message m ON m.id = d.message_id
ORDER BY d.priority, d.turn NULLS LAST, d.id
"""  # noqa: S608 - only the column list is repeated
_CLAIM_ONE = f"""
SELECT {_COLUMNS} FROM (
    SELECT id, consumer, attempts, crashes, ordering_key, message_id, enqueued_at FROM outbox_delivery
    WHERE id = %s AND state IN ('ready', 'isolated', 'parked') AND (deliver_by IS NULL OR deliver_by > now())
    FOR UPDATE SKIP LOCKED
) d JOIN outbox_message m ON m.id = d.message_id
"""  # noqa: S608 - only the column list is repeated
_CLAIM_SUCCESSORS = f"""
SELECT {_COLUMNS} FROM unnest(%s::text[]) WITH ORDINALITY AS head (key, turn)
CROSS JOIN LATERAL (
    SELECT id, consumer, attempts, crashes, ordering_key, message_id, enqueued_at, place FROM outbox_delivery
    WHERE consumer = %s AND ordering_key = head.key AND state = 'held' AND place < coalesce((
        SELECT min(place) FROM outbox_delivery late
        WHERE late.consumer = outbox_delivery.consumer AND late.ordering_key = head.key AND late.state = 'held'
          AND (late.due_at > now() OR late.deliver_by <= now())
    ), 'infinity'::float) ORDER BY place LIMIT %s FOR UPDATE
) d JOIN outbox_message m ON m.id = d.message_id ORDER BY head.turn, d.place LIMIT %s
"""  # noqa: S608 - only the column list is repeated
_ISOLATED = "SELECT id, consumer FROM outbox_delivery WHERE state = 'isolated' ORDER BY id LIMIT 20"
_FINISH = """
WITH done AS (
    DELETE FROM outbox_delivery WHERE id = ANY(%s::bigint[]) RETURNING id, message_id, consumer, attempts
)
INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms)
SELECT message_id, consumer, attempts + %s, duration FROM done
JOIN unnest(%s::bigint[], %s::int[]) AS spent (id, duration) USING (id)
"""
_BEGIN_ONCE = """
WITH begun AS (DELETE FROM outbox_delivery WHERE id = ANY(%s) RETURNING message_id, consumer, attempts)
INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms, outcome)
SELECT message_id, consumer, attempts + 1, 0, 'begun' FROM begun
"""
_END_ONCE = """
UPDATE outbox_receipt SET outcome = %s, duration_ms = %s
WHERE message_id = %s AND consumer = %s AND outcome = 'begun'
"""
_FINISHED = "SELECT message_id FROM outbox_receipt WHERE message_id = ANY(%s) AND consumer = %s"
_DROP = """
DELETE FROM outbox_delivery d USING outbox_receipt r
WHERE d.id = %s AND r.message_id = d.message_id AND r.consumer = d.consumer
"""
_LEASE = """
UPDATE outbox_delivery
SET state = 'leased', lease_owner = %s, lease_until = now() + make_interval(secs => %s), attempts = attempts + 1
WHERE id = ANY(%s)
"""
_DEFER = """
UPDATE outbox_delivery d SET state = 'scheduled', due_at = now() + make_interval(secs => wait), waiting_for = %s
FROM unnest(%s::bigint[], %s::float[]) AS put_off (id, wait) WHERE d.id = put_off.id
"""
_HOLDS = """
SELECT 1 FROM outbox_delivery WHERE id = %s AND state = 'leased' AND lease_owner = %s AND attempts = %s FOR UPDATE
"""
_EXTEND = """
UPDATE outbox_delivery SET lease_until = now() + make_interval(secs => %s)
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_delivery WHERE state = 'leased' AND lease_owner = %s FOR UPDATE SKIP LOCKED
))
"""
"""What is locked is being recorded, or taken over: nobody waits for it, least of all the other leases."""
_READY = """
SELECT name FROM unnest(%s::text[]) AS name
WHERE EXISTS (SELECT 1 FROM outbox_delivery WHERE consumer = name AND state = 'ready')
"""
_PROMOTE = """
WITH due AS (
    SELECT id FROM outbox_delivery WHERE state = 'scheduled' AND due_at <= now()
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE outbox_delivery SET state = 'ready', due_at = NULL, waiting_for = '', enqueued_at = now()
    WHERE id IN (SELECT id FROM due) RETURNING consumer
)
SELECT array(SELECT DISTINCT consumer FROM moved), (SELECT count(*) FROM due),
       (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM outbox_delivery
        WHERE state = 'scheduled' AND due_at > now())
"""
_EXPIRED = """
UPDATE outbox_delivery SET state = 'ready', lease_owner = NULL, lease_until = NULL, enqueued_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_delivery WHERE state = 'leased' AND lease_until < now() LIMIT 500 FOR UPDATE SKIP LOCKED
)) RETURNING consumer
"""


@dataclass(slots=True)
class Claimed:
    """A delivery in a worker's hands, with its message."""

    id: int
    consumer: str
    attempts: int
    """Attempts made before this one."""
    crashes: int
    ordering_key: str | None
    message_id: UUID
    name: str
    version: int
    payload: str
    headers: str
    correlation_id: UUID
    causation_id: UUID | None
    actor: str
    created_at: datetime
    age: float
    """Seconds it has waited for its effect, by the database's clock: since its commit, or since its time came when it
    was sent for later."""

    def inherited(self) -> dict[str, Any]:
        """Return the headers that messages published while handling this one carry on: the saga they work for."""
        if '"saga"' not in self.headers:
            return {}
        headers = _headers.decode(self.headers)
        return {name: headers[name] for name in ("saga", "step") if name in headers}

    def incoming(self) -> Incoming:
        """Return what the handler may know."""
        return Incoming(
            self.message_id,
            self.name,
            self.version,
            self.correlation_id,
            self.causation_id,
            self.actor,
            self.created_at,
            self.attempts + 1,
            _headers.decode(self.headers),
        )


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


_low_water = LowWater()


def claim(consumer: str, limit: int) -> list[Claimed]:
    """Lock up to `limit` ready deliveries of `consumer` that nobody else holds, oldest first."""
    start = _low_water.start(consumer)
    rows = _claim_from(start, consumer, limit)
    if len(rows) < limit and start != BEGINNING:
        rows = _claim_from(BEGINNING, consumer, limit)
    if len(rows) < limit:
        _low_water.forget(consumer)
    else:
        *_, priority = rows[0]
        _low_water.claimed(consumer, start, Place(priority, rows[0][0]))
    return [Claimed(*columns) for *columns, _ in rows]


def _claim_from(start: Place, consumer: str, limit: int) -> list[tuple[Any, ...]]:
    if start == BEGINNING:
        return _rows(_CLAIM, (consumer, limit))
    return _rows(_CLAIM_ABOVE, (consumer, start.priority, consumer, *start, limit))


def claim_fairly(consumer: str, limit: int) -> list[Claimed]:
    """Lock up to `limit` ready deliveries as claim does, by the turns of their fair keys.

    Those without a turn (of a release that knew no fairness, or replayed) go when no others are left.
    """
    return [Claimed(*row) for row in _rows(_CLAIM_FAIRLY, (consumer, limit, consumer, limit))]


def claim_successors(heads: list[Claimed], limit: int) -> list[Claimed]:
    """Lock up to `limit` of those that are held by `heads` only, in order: they may follow in the same transaction."""
    keys = [one.ordering_key for one in heads if one.ordering_key is not None]
    if not keys or limit <= 0:
        return []
    return [Claimed(*row) for row in _rows(_CLAIM_SUCCESSORS, (keys, heads[0].consumer, limit, limit))]


def claim_one(delivery_id: int) -> Claimed | None:
    """Lock one delivery that is ready, isolated or parked; None when it is gone or held by another worker."""
    rows = _rows(_CLAIM_ONE, (delivery_id,))
    return Claimed(*rows[0]) if rows else None


def isolated() -> list[tuple[int, str]]:
    """Return (delivery, consumer) of those that must run alone."""
    return [(row[0], row[1]) for row in _rows(_ISOLATED, ())]


def finish(claimed: Sequence[Claimed], durations_ms: dict[int, int], *, extra_attempt: int) -> None:
    """Acknowledge those of `claimed` that have a duration: remove the deliveries and write their receipts, in the
    transaction of their effect.

    `extra_attempt` is 1 where the present attempt is not counted in the row yet.
    """
    ids = array(durations_ms)
    release_successors([one for one in claimed if one.id in durations_ms])
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, (ids, extra_attempt, ids, array(durations_ms.values())))


def begin_once(delivery_ids: list[int]) -> None:
    """Acknowledge before the call: whatever becomes of it, nobody repeats it. The receipts say `begun`."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN_ONCE, (delivery_ids,))


def end_once(claimed: Claimed, outcome: str, milliseconds: int) -> None:
    """Write down what became of a call that was acknowledged before it was made: `done` or `failed`."""
    with connection.cursor() as cursor:
        cursor.execute(_END_ONCE, (outcome, milliseconds, claimed.message_id, claimed.consumer))


def release_successors(ended: Sequence[Claimed]) -> None:
    """Let the next of each ordering key go when the open unit of work commits."""
    keys = [(one.consumer, one.ordering_key) for one in ended if one.ordering_key is not None]
    if keys:
        open_unit().ended.update(keys)


def drop_finished(claimed: list[Claimed]) -> list[Claimed]:
    """Remove deliveries that have a receipt already, before anybody outside is called again; return the others."""
    if not claimed:
        return []
    ids, consumer = [one.message_id for one in claimed], claimed[0].consumer
    finished = {row[0] for row in _rows(_FINISHED, (ids, consumer))}
    for one in claimed:
        if one.message_id in finished:
            drop(one)
    return [one for one in claimed if one.message_id not in finished]


def drop(claimed: Claimed) -> None:
    """Remove a delivery whose message has a receipt of this consumer. In the open unit of work."""
    release_successors([claimed])
    with connection.cursor() as cursor:
        cursor.execute(_DROP, (claimed.id,))


def lease(delivery_ids: list[int], owner: UUID) -> None:
    """Take the deliveries over for a call outside the transaction, and count the attempt."""
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, (owner, conf.LEASE_SECONDS, delivery_ids))


def defer(waits: dict[int, timedelta], why: str) -> None:
    """Put claimed deliveries off without burning an attempt; `why` says what they wait for."""
    seconds = [wait.total_seconds() for wait in waits.values()]
    with connection.cursor() as cursor:
        cursor.execute(_DEFER, (why, list(waits), seconds))


def still_holds(claimed: Claimed, owner: UUID) -> bool:
    """Lock the delivery and tell whether `owner` still holds the lease of this very attempt."""
    return bool(_rows(_HOLDS, (claimed.id, owner, claimed.attempts + 1)))


def extend_leases(owner: UUID) -> None:
    """Keep the leases of a worker that lives."""
    with connection.cursor() as cursor:
        cursor.execute(_EXTEND, (conf.LEASE_SECONDS, owner))


def extend_leases_on(own: psycopg.Connection[Any], owner: UUID) -> None:
    """Do the same on a connection of one's own, beside Django's."""
    own.execute(_EXTEND, (conf.LEASE_SECONDS, owner))


def with_work(consumers: list[str]) -> list[str]:
    """Return those of `consumers` that have something ready."""
    return [row[0] for row in _rows(_READY, (consumers,))]


def promote_due() -> tuple[list[str], float | None]:
    """Make due timers ready, up to PROMOTED_AT_ONCE; return their consumers and the seconds until the next one."""
    ((consumers, promoted, seconds),) = _rows(_PROMOTE, (PROMOTED_AT_ONCE,))
    for name in consumers:
        _low_water.forget(name)
    return consumers, 0.0 if promoted == PROMOTED_AT_ONCE else seconds


def release_expired_leases() -> list[str]:
    """Make deliveries whose lease ran out ready again; return their consumers."""
    return [row[0] for row in _rows(_EXPIRED, ())]
