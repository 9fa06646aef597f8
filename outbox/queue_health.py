"""How the queue's tables are: what waits to be cleaned, what holds cleaning back, how long the months reach.

Read from PostgreSQL's own statistics when somebody looks; nothing is counted. What the role may not see is left out and
said to be hidden (`GRANT pg_read_all_stats` shows it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone
from structlog import get_logger

from outbox import partitions
from outbox.partitions import MESSAGES, RECEIPTS, Month

HELD_BACK_SECONDS = 300.0
"""How long a transaction may be open before somebody should look at it."""

# Hot are the tables that are vacuumed by count: their migrations say so.
_TABLES = """
SELECT s.relname, s.n_live_tup, s.n_dead_tup, extract(epoch FROM now() - s.last_autovacuum)::float,
       pg_table_size(s.relid), pg_indexes_size(s.relid),
       (SELECT option_value::int FROM pg_options_to_table(c.reloptions)
        WHERE option_name = 'autovacuum_vacuum_threshold')
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE c.relname LIKE 'outbox\\_%' AND 'autovacuum_vacuum_scale_factor=0' = ANY(c.reloptions)
  AND pg_table_is_visible(c.oid)
ORDER BY s.relname
"""
# A session holds cleaning back by its snapshot or by having written, not by being open alone; those of other databases
# do not. A prepared transaction has no session.
_OLDEST = """
SELECT pid, who, state, age FROM (
    SELECT pid, coalesce(nullif(application_name, ''), backend_type) AS who, coalesce(state, '') AS state,
           extract(epoch FROM clock_timestamp() - xact_start)::float AS age
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT 0, gid, 'prepared transaction', extract(epoch FROM clock_timestamp() - prepared)::float
    FROM pg_prepared_xacts WHERE database = current_database()
) holders WHERE age IS NOT NULL ORDER BY age DESC LIMIT 1
"""
_HIDDEN = """
SELECT count(*), now() FROM pg_stat_activity
WHERE datname = current_database() AND query = '<insufficient privilege>'
"""
_SLOTS = """
SELECT slot_name, greatest(age(xmin), age(catalog_xmin)) FROM pg_replication_slots
WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL ORDER BY 2 DESC
"""

log = get_logger("outbox.queue_health")


@dataclass(frozen=True, slots=True)
class Table:
    """A hot table. Sizes are in bytes."""

    name: str
    live: int
    dead: int
    """Rows that wait to be cleaned, as far as the statistics know."""
    autovacuum_seconds: float | None
    """Since it was cleaned last; None for never."""
    table_bytes: int
    index_bytes: int
    threshold: int | None
    """Dead rows from which on it is cleaned."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The oldest transaction that holds cleaning back."""

    pid: int
    """0 for a prepared transaction."""
    who: str
    """What it calls itself, or its name when it was prepared."""
    state: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot that holds cleaning back; its age in transactions, for it knows no time."""

    name: str
    transactions: int


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """Everything at one moment."""

    tables: Sequence[Table]
    holder: Holder | None
    slots: Sequence[Slot]
    hidden: int
    """Sessions that the role may not look at."""
    ready_until: datetime | None
    """Until when messages have a partition without a gap; None when this month has none."""
    months_ahead: int
    messages_bytes: int
    receipts_bytes: int

    @property
    def held_back(self) -> bool:
        """Whether cleaning has been held back for too long."""
        return self.holder is not None and self.holder.seconds > HELD_BACK_SECONDS


def look() -> QueueHealth:
    """Return how the queue's tables are now. Call it outside a transaction, which a refused look would spoil."""
    months = partitions.months(MESSAGES, RECEIPTS)
    said = [month for month in months if month.parent == MESSAGES]
    oldest, hidden = _rows(_OLDEST), _rows(_HIDDEN)
    ready_until, ahead = _reach(said, hidden[0][1] if hidden else timezone.now())
    return QueueHealth(
        tables=[Table(*row) for row in _rows(_TABLES)],
        holder=Holder(*oldest[0]) if oldest else None,
        slots=[Slot(*row) for row in _rows(_SLOTS)],
        hidden=hidden[0][0] if hidden else 0,
        ready_until=ready_until,
        months_ahead=ahead,
        messages_bytes=sum(month.size_bytes for month in said),
        receipts_bytes=sum(month.size_bytes for month in months if month.parent == RECEIPTS),
    )


def _reach(months: Sequence[Month], now: datetime) -> tuple[datetime | None, int]:
    """Return until when there is a month for every moment from `now` on, and how many begin later than now."""
    until, ahead = None, 0
    for month in months:
        if month.begins <= now < month.ends:
            until = month.ends
        elif month.begins == until:
            until, ahead = month.ends, ahead + 1
    return until, ahead


def _rows(sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a look at the statistics; none where the role may not look."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    except DatabaseError as error:
        log.warning("statistics_unreadable", error=str(error).strip())
        return []
