"""How much work is not finished: counted where that is quick, and else as a worker counted it a few seconds ago.

Counting takes time with each row, so that a long queue, which is when people look, would make every look slow. Up to
COUNTED_AT_ONCE deliveries are counted by whoever asks. Above that the first of the workers counts every few seconds
and writes the figures down among the rollups, where they also show how the queue grew; whoever asks reads those, and
is told how old they are. Where no worker has counted lately the rows are counted after all.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from outbox.pressure import bound_of

COUNTED_AT_ONCE = 20_000
TOO_OLD_SECONDS = 15.0
"""Workers count three times as often."""

_LONG = "(SELECT count(*) FROM (SELECT FROM outbox_delivery LIMIT %(few)s + 1) head) > %(few)s"
_COUNT = """
SELECT consumer, CASE state WHEN 'isolated' THEN 'ready' ELSE state END AS state, count(*) AS deliveries,
       (extract(epoch FROM min(enqueued_at) FILTER (WHERE state IN ('ready', 'isolated'))) * 1000)::bigint AS since
FROM outbox_delivery
"""
_WRITE_DOWN = f"""
WITH counted AS MATERIALIZED ({_COUNT} WHERE {_LONG} GROUP BY 1, 2), figure AS (
    SELECT consumer, 'depth_' || state AS measure, deliveries AS value FROM counted
    UNION ALL SELECT consumer, 'depth_since', since FROM counted WHERE since IS NOT NULL
    UNION ALL SELECT '', 'depth_counted', (extract(epoch FROM now()) * 1000)::bigint WHERE EXISTS (SELECT FROM counted)
)
INSERT INTO outbox_rollup (minute, consumer, measure, value)
SELECT date_trunc('minute', now()), consumer, measure, value FROM figure
UNION ALL
SELECT minute, consumer, measure, 0 FROM outbox_rollup r
WHERE minute = date_trunc('minute', now()) AND measure LIKE 'depth_%%' AND EXISTS (SELECT FROM figure)
  AND NOT EXISTS (SELECT FROM figure f WHERE f.consumer = r.consumer AND f.measure = r.measure)
ON CONFLICT (minute, consumer, measure) DO UPDATE SET value = excluded.value
"""  # noqa: S608 - constants of ours
"""Counts nothing where the queue is short. What the minute's former count found and this one did not is 0."""
_WRITTEN_DOWN = """
SELECT consumer, measure, value, extract(epoch FROM now())::float8 * 1000 FROM outbox_rollup
WHERE measure LIKE 'depth_%%' AND minute = (
    SELECT max(minute) FROM outbox_rollup
    WHERE minute > now() - interval '2 min' AND consumer = '' AND measure = 'depth_counted'
)
"""
_CANNOT_RUN = """
SELECT unnest(consumers) FROM outbox_breaker
WHERE state <> 'closed' OR throttled_until > now() OR limited_at > now() - interval '5 s'
UNION SELECT consumer FROM outbox_control WHERE paused OR limited_at > now() - interval '5 s'
"""


@dataclass(frozen=True)
class QueueDepth:
    """How much of one consumer's work is not finished."""

    consumer: str
    ready: int
    scheduled: int
    leased: int
    dead: int
    parked: int
    oldest_seconds: float
    """Age of the oldest delivery that could run now."""
    held: int
    """Behind another of their ordering key."""
    counted_seconds_ago: float = 0.0
    """How old the counts are; 0 where they were counted for this answer."""

    @property
    def over_bound(self) -> bool:
        """Whether more is ready than should be before bulk work waits (outbox/pressure.py)."""
        return self.ready > bound_of(self.consumer)


@dataclass
class _Counts:
    """What was counted of one consumer."""

    by_state: dict[str, int] = field(default_factory=dict)
    since: float | None = None
    """When the oldest that could run became ready, in milliseconds since 1970."""


def queue_depth() -> list[QueueDepth]:
    """Return the unfinished work per consumer. Exact for a short queue, and a few seconds old for a long one."""
    counts, now, age = _counts()
    found = [_depth(consumer, counted, now, age) for consumer, counted in sorted(counts.items())]
    return [depth for depth in found if any(counts[depth.consumer].by_state.values())]


def oldest_due_seconds() -> float:
    """Return the age of the oldest delivery that could run now; 0 when there is none.

    Work that waits for an open breaker, has just met a limit or belongs to a paused consumer does not count: no worker
    could do it.
    """
    cannot_run = {consumer for (consumer,) in _rows(_CANNOT_RUN)}
    return max((depth.oldest_seconds for depth in queue_depth() if depth.consumer not in cannot_run), default=0.0)


def write_down() -> None:
    """Count a long queue for those who ask within the next seconds; one worker does, every few seconds."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_DOWN, {"few": COUNTED_AT_ONCE})


def _counts() -> tuple[dict[str, _Counts], float, float]:
    """Return the counts by consumer, the database's time in milliseconds, and how many seconds old the counts are."""
    ((is_long,),) = _rows(f"SELECT {_LONG}", {"few": COUNTED_AT_ONCE})
    written = _written_down() if is_long else None
    return written or _counted_now()


def _counted_now() -> tuple[dict[str, _Counts], float, float]:
    counts: dict[str, _Counts] = {}
    for consumer, state, deliveries, since in _rows(f"{_COUNT} GROUP BY 1, 2"):
        counted = counts.setdefault(consumer, _Counts())
        counted.by_state[state] = deliveries
        counted.since = since if state == "ready" else counted.since
    ((now,),) = _rows("SELECT extract(epoch FROM now())::float8 * 1000")
    return counts, now, 0.0


def _written_down() -> tuple[dict[str, _Counts], float, float] | None:
    """Return what a worker counted; None when that is too long ago."""
    counts: dict[str, _Counts] = {}
    counted_at, rows = 0.0, _rows(_WRITTEN_DOWN)
    for consumer, measure, value, _ in rows:
        if measure == "depth_counted":
            counted_at = value
        elif measure == "depth_since":
            counts.setdefault(consumer, _Counts()).since = value or None
        else:
            counts.setdefault(consumer, _Counts()).by_state[measure.removeprefix("depth_")] = value
    if not counts:
        return None
    now: float = rows[0][-1]
    age = (now - counted_at) / 1000
    return (counts, now, age) if age <= TOO_OLD_SECONDS else None


def _depth(consumer: str, counted: _Counts, now: float, age: float) -> QueueDepth:
    state = counted.by_state.get
    ready, oldest = state("ready", 0), counted.since
    return QueueDepth(
        consumer,
        ready,
        state("scheduled", 0),
        state("leased", 0),
        state("dead", 0),
        state("parked", 0),
        max(0.0, now - oldest) / 1000 if ready and oldest else 0.0,
        state("held", 0),
        round(age, 1),
    )


def _rows(sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or {})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
