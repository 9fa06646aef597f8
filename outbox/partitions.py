"""Monthly partitions of messages and receipts: made ahead of time, and dropped, beside live traffic.

A month can only be dropped under a lock on its parent that excludes everybody. (DETACH CONCURRENTLY would not need it,
but PostgreSQL refuses it beside a default partition, and that one stays: it keeps a message whose month is missing.)
Whoever comes while such a lock is waited for waits behind it. So it is asked for with hardly any patience, again and
again, until a moment comes in which nobody is in the way: docs/decisions/0012.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import OperationalError, connection

from outbox.context import current
from outbox.engine.failures import is_contention
from outbox.publishing import unit_of_work

T = TypeVar("T")

MESSAGES, RECEIPTS = "outbox_message", "outbox_receipt"
HOUSEKEEPER_LOCK = 0x0B0E_0002
PATIENCE_MS: Sequence[int] = (*[1] * 40, *[50] * 8)
"""How long each try waits for its locks; nobody waits longer behind it."""
PAUSE_SECONDS = (0.05, 0.25)
"""Between two tries, at random, so that they do not keep step with anybody."""

_MONTHS = """
SELECT parent, name, month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC',
       coalesce(pg_total_relation_size(child), 0)
FROM (
    SELECT p.relname::text AS parent, c.relname::text AS name, c.oid AS child,
           to_date(substring(c.relname FROM '_y([0-9]+m[0-9]+)$'), 'YYYY"m"MM') AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    WHERE i.inhparent = ANY(%s::regclass[]) AND c.relname ~ '_y[0-9]+m[0-9]+$'
) made ORDER BY parent, month
"""
_UNFINISHED = """
SELECT count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE state <> 'dead') FROM outbox_delivery
WHERE message_id >= outbox_uuid7_floor(%s::date) AND message_id < outbox_uuid7_floor(%s::date)
"""
_REMEMBER = """
INSERT INTO outbox_droppedpartition (name, parent, begins, ends, size_bytes, actor) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET size_bytes = excluded.size_bytes, actor = excluded.actor, dropped_at = now()
"""


@dataclass(frozen=True, slots=True)
class Month:
    """One month of messages or of receipts, by the times in the ids; `ends` is the next month's beginning."""

    parent: str
    name: str
    begins: datetime
    ends: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The deliveries that still need the messages of a month."""

    dead: int
    others: int

    def __bool__(self) -> bool:
        return bool(self.dead or self.others)

    def __str__(self) -> str:
        dead = f"{self.dead:,} dead letter{'' if self.dead == 1 else 's'}" if self.dead else ""
        others = f"{self.others:,} unfinished deliver{'y' if self.others == 1 else 'ies'}" if self.others else ""
        return " and ".join(filter(None, (dead, others)))


def months(*parents: str) -> list[Month]:
    """Return the months of `parents` that have a partition, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, (list(parents),))
        return [Month(*row) for row in cursor.fetchall()]


def create(months_ahead: int) -> int | None:
    """Make the partitions up to `months_ahead` months from now that are missing, and last month's; return how many.

    None when others were in the way all the time; nothing is lost then, the next run tries again.
    """

    def make() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT outbox_create_partitions(%s)", (months_ahead,))
            return int(cursor.fetchone()[0])

    return _patiently(make)


def drop(month: Month) -> str:
    """Drop a month unless a delivery refers to its messages; return why it was not dropped, else an empty string.

    Nobody waits for it longer than 50 ms. Whether anything else needs the month is for the caller to know.
    """
    why = _patiently(lambda: _drop_locked(month))
    return "somebody was reading or writing all the time" if why is None else why


def unfinished(month: Month) -> Unfinished:
    """Return how many deliveries refer to messages of a month."""
    with connection.cursor() as cursor:
        cursor.execute(_UNFINISHED, (month.begins.date(), month.ends.date()))
        return Unfinished(*cursor.fetchone())


def _drop_locked(month: Month) -> str:
    with connection.cursor() as cursor:
        # One that hands old messages out again (outbox/replay.py) holds the parent until its deliveries are committed:
        # with the lock nobody can be at it, and what it has made is seen.
        tables = f"ONLY {month.parent}, ONLY {month.parent}_default, ONLY {month.name}"
        cursor.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        if month.parent == MESSAGES and (needed := unfinished(month)):
            return str(needed)
        actor = current().actor or "system"
        cursor.execute(_REMEMBER, (month.name, month.parent, month.begins, month.ends, month.size_bytes, actor))
        cursor.execute(f"DROP TABLE {month.name}")
    return ""


def _patiently(work: Callable[[], T]) -> T | None:
    """Do `work` in a unit of work, one housekeeper at a time, trying again while others are in the way; None when they
    always were.
    """
    for milliseconds in PATIENCE_MS:
        try:
            with unit_of_work(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", (f"{milliseconds}ms",))
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (HOUSEKEEPER_LOCK,))
                return work()
        except OperationalError as error:
            if not is_contention(error):
                raise
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret
    return None
