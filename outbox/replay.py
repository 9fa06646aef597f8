"""Replay: handing events of the past to one consumer again, or for the first time when it is new.

A replay makes deliveries, nothing else: they are claimed, retried and given up like any other, behind what is said now.
It is a walk over the range in portions, each a transaction of its own, that makes what is missing:

- An event without receipt and delivery of the consumer gets a delivery. Doing it twice changes nothing.
- With `again`, a receipt of before the replay began is set aside (FormerReceipt) in the same transaction. The receipt
  is the inbox: as long as it stands, a second delivery is dropped without effect. What the replay itself has brought
  about has a younger receipt, and is not touched by going on with it.

So a replay can be interrupted anywhere and gone on with: its place is in the data. Commands are never replayed: what
they ask for was done, or refused. Nor are events that expire, as their contracts promise that they do not come late.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from outbox import audit, doorbell, pressure
from outbox.consumers import find, ordering_key
from outbox.contracts import Kind, contract_named
from outbox.errors import ContractError, IllegalOperation
from outbox.models import AuditEntry
from outbox.ordering import ParticularDelivery
from outbox.publishing import open_unit, require_unit_of_work, unit_of_work

BEHIND = 100
"""Priority of what is replayed: what is said now goes first."""
REPLAY = "outbox.replay"
REPLAY_LOCK = 0x0B0E_0003
LOOK_AGAIN_SECONDS = 0.1

_OPEN = """
SELECT coalesce(array_agg(virtualtransaction), '{}') FROM pg_locks
WHERE locktype = 'virtualxid' AND granted AND pid <> pg_backend_pid()
  AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())
"""
_STILL_OPEN = "SELECT 1 FROM pg_locks WHERE locktype = 'virtualxid' AND virtualtransaction = ANY(%s) LIMIT 1"
_LAST_OF_PORTION = """
SELECT id FROM (
    SELECT id FROM outbox_message WHERE id > %(after)s AND id < %(until)s
      AND (%(aggregate)s::uuid IS NULL OR aggregate_id = %(aggregate)s)
    ORDER BY id LIMIT %(portion)s
) portion ORDER BY id DESC LIMIT 1
"""
_EVENTS = """
FROM outbox_message m
LEFT JOIN outbox_delivery d ON d.message_id = m.id AND d.consumer = %(consumer)s
LEFT JOIN outbox_receipt r ON r.message_id = m.id AND r.consumer = %(consumer)s
WHERE m.id > %(after)s AND m.id <= %(last)s AND m.kind = 'event' AND m.name = ANY(%(names)s)
  AND (%(aggregate)s::uuid IS NULL OR m.aggregate_id = %(aggregate)s)
"""
_WANTED = f"""
SELECT m.id, m.name, m.version, m.payload::text {_EVENTS}
  AND d.id IS NULL AND (r.message_id IS NULL OR (%(again)s AND r.finished_at < %(began_at)s))
ORDER BY m.id
"""
_COUNTS = f"""
SELECT count(*) FILTER (WHERE d.id IS NULL AND r.message_id IS NULL), count(r.message_id), count(d.id) {_EVENTS}
"""
_SET_ASIDE = """
WITH former AS (
    DELETE FROM outbox_receipt WHERE message_id = ANY(%(ids)s) AND consumer = %(consumer)s RETURNING *
)
INSERT INTO outbox_formerreceipt (message_id, consumer, finished_at, attempts, duration_ms, outcome, replay_id)
SELECT message_id, consumer, finished_at, attempts, duration_ms, outcome, %(replay)s FROM former
"""


@dataclass(frozen=True, slots=True)
class Range:
    """Which events one consumer shall get, by the times in their ids: from `since` until before `until`."""

    consumer: str
    names: tuple[str, ...]
    since: datetime
    until: datetime
    aggregate_id: UUID | None = None
    again: bool = False
    """Also what the consumer has finished, or an operator has discarded."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that has begun; its audit entry says who began it and why."""

    id: UUID
    range: Range
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Portion:
    """What one transaction of a replay has done."""

    made: int
    """Deliveries."""
    reached: float
    """How much of the range is done, by its times: 0 to 1."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How the events of a range stand with the consumer."""

    missing: int = 0
    """It never got them: a replay makes deliveries for these."""
    finished: int = 0
    """Replayed with `again` only."""
    queued: int = 0
    """They are on their way already."""


def choose(
    consumer: str,
    since: datetime,
    until: datetime,
    *,
    name: str | None = None,
    aggregate_id: UUID | None = None,
    again: bool = False,
) -> Range:
    """Return the range of the events that `consumer` listens to, or of the one called `name`.

    Raises IllegalOperation for a consumer that is not there or listens to no such event, and for an empty range.
    """
    entry = find(consumer)
    if entry is None:
        raise IllegalOperation(f"No consumer is called {consumer!r}.")
    if name is not None and contract_named(name).kind is Kind.COMMAND:
        raise IllegalOperation(f"{name} is a command: it was done, or refused. To have it done anew, send it anew.")
    events = [one for one in entry.contracts if one.kind is Kind.EVENT and name in (None, one.name)]
    names = [one.name for one in events if one.expires_after is None]
    if events and not names:
        raise IllegalOperation(f"{events[0].name} expires: it promises not to come late, so it is not replayed.")
    if not names:
        raise IllegalOperation(f"{consumer} does not listen to {name or 'any event'}.")
    if since >= until:
        raise IllegalOperation("The range is empty: --since is not before --until.")
    return Range(consumer, tuple(names), since, until, aggregate_id, again)


@require_unit_of_work
def begin(wanted: Range, reason: str) -> Replay:
    """Write down that a replay begins, who began it and why; return it. Nothing is handed out yet."""
    replay_id = uuid7()
    audit.record(REPLAY, f"replay:{replay_id}", reason=audit.require_reason(reason), after=_as_json(wanted))
    return find_replay(replay_id)


def find_replay(replay_id: UUID) -> Replay:
    """Return a replay that was begun, to go on with it. Raises IllegalOperation when there is none."""
    entry = AuditEntry.objects.filter(action=REPLAY, subject=f"replay:{replay_id}").first()
    if entry is None or entry.after is None:
        raise IllegalOperation(f"There is no replay {replay_id}.")
    said = entry.after
    aggregate_id = UUID(said["aggregate_id"]) if said["aggregate_id"] else None
    since, until = datetime.fromisoformat(said["since"]), datetime.fromisoformat(said["until"])
    wanted = Range(said["consumer"], tuple(said["names"]), since, until, aggregate_id, said["again"])
    return Replay(replay_id, wanted, entry.at)


def wait_for_open_transactions(seconds: float) -> bool:
    """Wait until every transaction that is open now has ended: what it says is of before, and not visible yet.

    Returns False when one is still open after `seconds`; what it says then may need a second run.
    """
    end = time.monotonic() + seconds
    with connection.cursor() as cursor:
        cursor.execute(_OPEN)
        (present,) = cursor.fetchone()
        while time.monotonic() < end:
            cursor.execute(_STILL_OPEN, (present,))
            if cursor.fetchone() is None:
                return True
            time.sleep(LOOK_AGAIN_SECONDS)
    return False


def count(wanted: Range, portion: int = 5_000) -> Iterator[tuple[Counts, float]]:
    """Count the events of a range, in portions; yield each portion's counts, and how much of the range is done."""
    for parameters in _portions(wanted, portion):
        with connection.cursor() as cursor:
            cursor.execute(_COUNTS, parameters)
            yield Counts(*cursor.fetchone()), _reached(wanted, parameters["last"])


def run(replay: Replay, portion: int, told: pressure.Told) -> Iterator[Portion]:
    """Hand out what is missing, looking at `portion` messages in each transaction; yield what each has done.

    It waits while the consumer's backlog is over its bound, and says so to `told`. Stop whenever you like: what was
    yielded is committed, and a second run makes the rest.
    """
    for parameters in _portions(replay.range, portion):
        pressure.wait_for_room([replay.range.consumer], told)
        with unit_of_work():
            made = _hand_out(replay, parameters)
        yield Portion(made, _reached(replay.range, parameters["last"]))


def _portions(wanted: Range, portion: int) -> Iterator[dict[str, Any]]:
    """Walk over the range; a portion's last message is looked for when the one before is done."""
    parameters: dict[str, Any] = {
        "consumer": wanted.consumer,
        "names": list(wanted.names),
        "aggregate": wanted.aggregate_id,
        "after": _floor(wanted.since, -1),
        "until": _floor(wanted.until),
        "portion": portion,
    }
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_LAST_OF_PORTION, parameters)
            row = cursor.fetchone()
        if row is None:
            return
        yield {**parameters, "last": row[0]}
        parameters["after"] = row[0]


def _hand_out(replay: Replay, portion: dict[str, Any]) -> int:
    wanted, unit = replay.range, open_unit()
    parameters = {**portion, "again": wanted.again, "began_at": replay.began_at, "replay": replay.id}
    with connection.cursor() as cursor:
        # Two replays to one consumer take turns, so that neither makes what the other just made.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (REPLAY_LOCK, wanted.consumer))
        cursor.execute(_WANTED, parameters)
        events = cursor.fetchall()
        if not events:
            return 0
        if wanted.again:
            cursor.execute(_SET_ASIDE, {**parameters, "ids": [event[0] for event in events]})
    unit.particular += [_delivery(wanted.consumer, *event) for event in events]
    unit.rings.add((doorbell.WORK, wanted.consumer))
    return len(events)


def _delivery(consumer: str, message_id: UUID, name: str, version: int, payload: str) -> ParticularDelivery:
    try:
        key = ordering_key(consumer, contract_named(name).decode(payload, version))
    except ContractError:
        key = None  # whoever handles it parks it, or gives it up: what cannot be read stands in no order
    return ParticularDelivery(message_id, consumer, BEHIND, None, None, None, key)


def _floor(moment: datetime, step: int = 0) -> UUID:
    """Return the least UUIDv7 of a moment, or the id `step` from it."""
    return UUID(int=max((int(moment.timestamp() * 1000) << 80) + step, 0))


def _reached(wanted: Range, last: UUID) -> float:
    since, until = wanted.since.timestamp(), wanted.until.timestamp()
    return min(((last.int >> 80) / 1000 - since) / (until - since), 1.0)


def _as_json(wanted: Range) -> dict[str, Any]:
    return {
        "consumer": wanted.consumer,
        "names": list(wanted.names),
        "since": wanted.since.isoformat(),
        "until": wanted.until.isoformat(),
        "aggregate_id": str(wanted.aggregate_id) if wanted.aggregate_id else None,
        "again": wanted.again,
    }
