"""Figures for dashboards, health and metrics: counted while working, read without counting rows.

Each worker adds up in memory and adds to `outbox_rollup` when its shift ends; a crash loses two seconds of figures.
"""

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from django.db import connection
from prometheus_client import Counter as Metric
from prometheus_client import Histogram

from outbox.consumers import all_destinations
from outbox.depth import QueueDepth as QueueDepth
from outbox.depth import oldest_due_seconds as oldest_due_seconds
from outbox.depth import queue_depth as queue_depth
from outbox.destinations import Destination

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)

_BUCKETS = tuple(f"le_{bound}" for bound in (*LATENCY_BOUNDS_MS, math.inf))

HANDLED = Metric("tandem_messages_total", "Messages handled, by consumer and outcome", ["consumer", "outcome"])
LATENCY = Histogram(
    "tandem_commit_to_effect_seconds",
    "Time from a message's commit to its effect",
    ["consumer"],
    buckets=[bound / 1000 for bound in LATENCY_BOUNDS_MS],
)

_pending: Counter[tuple[datetime, str, str]] = Counter()


def _minute() -> datetime:
    return _beginning_of(int(time.time()) // 60)


@lru_cache(maxsize=2)
def _beginning_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


@cache
def _metrics_of(consumer: str) -> tuple[Metric, Histogram]:
    """Return what counts the messages that a consumer has done; looking the labels up takes as long as counting."""
    return HANDLED.labels(consumer, "done"), LATENCY.labels(consumer)


def count(consumer: str, measure: str, by: int = 1) -> None:
    """Count one more of `measure` (failed, dead, deferred) for `consumer`, or `by` more."""
    _pending[_minute(), consumer, measure] += by
    HANDLED.labels(consumer, measure).inc(by)


def count_done(consumer: str, latency_ms: float) -> None:
    """Count a message that took `latency_ms` from its commit to its effect."""
    _pending[_minute(), consumer, _BUCKETS[bisect_left(LATENCY_BOUNDS_MS, latency_ms)]] += 1
    done, latency = _metrics_of(consumer)
    done.inc()
    latency.observe(latency_ms / 1000)


def tally(subject: str, measure: str, *, at: datetime, by: int | Decimal = 1) -> None:
    """Add to a figure of the domain in the open transaction, so that it counts each message once.

    Amounts are kept in thousandths, so that they stay whole.
    """
    value = by if isinstance(by, int) else int(by * 1000)
    minute = at.astimezone(UTC).replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [[minute], [subject], [measure], [value]])


_ADD = """
INSERT INTO outbox_rollup (minute, consumer, measure, value)
SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::bigint[])
ORDER BY 1, 2, 3
ON CONFLICT (minute, consumer, measure) DO UPDATE SET value = outbox_rollup.value + excluded.value
"""


def flush() -> None:
    """Add this process's figures to the shared ones."""
    if not _pending:
        return
    rows = [(*key, value) for key, value in _pending.items()]
    _pending.clear()
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def _rows(sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or [])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


@dataclass(frozen=True)
class Minute:
    """What happened within one minute."""

    at: datetime
    done: int
    failed: int
    dead: int
    buckets: dict[float, int]
    """Messages done by latency: upper bound in milliseconds → count."""

    def percentile_ms(self, share: float) -> float | None:
        """Return the latency bound in milliseconds that `share` (0 to 1) of the messages kept; None without any."""
        return percentile_ms(self.buckets, share)


def percentile_ms(buckets: dict[float, int], share: float) -> float | None:
    """Return the upper bound within which `share` of what is counted in `buckets` lies."""
    total, seen = sum(buckets.values()), 0
    for bound in sorted(buckets):
        seen += buckets[bound]
        if seen >= share * total:
            return bound
    return None


def minutes(last: int = 60, consumer: str | None = None) -> list[Minute]:
    """Return the last minutes, oldest first, those without work included; of one consumer or of all together."""
    rows = _rows(
        """
        SELECT at, coalesce(measure, ''), coalesce(sum(value), 0)
        FROM generate_series(date_trunc('minute', now()) - make_interval(mins => %s), now(), '1 minute') AS at
        LEFT JOIN outbox_rollup r ON r.minute = at AND (%s::text IS NULL OR r.consumer = %s::text)
        GROUP BY 1, 2 ORDER BY 1
        """,
        [last - 1, consumer, consumer],
    )
    measured: dict[datetime, dict[str, int]] = {}
    for at, measure, value in rows:
        measured.setdefault(at, {})[measure] = int(value)
    return [_as_minute(at, values) for at, values in measured.items()]


def _as_minute(at: datetime, values: dict[str, int]) -> Minute:
    buckets = {float(name[3:]): value for name, value in values.items() if name.startswith("le_")}
    return Minute(at, sum(buckets.values()), values.get("failed", 0), values.get("dead", 0), buckets)


@dataclass(frozen=True)
class BreakerView:
    """A destination as operators see it."""

    destination: str
    state: str
    reason: str
    failures: int
    open_until: datetime | None
    throttled_until: datetime | None
    changed_at: datetime
    waiting: int
    """Deliveries that wait for it."""
    pinned: bool = False
    """An operator decided on the state."""
    pinned_until: datetime | None = None
    in_flight: int = 0
    """Calls under way, as the workers last told."""
    concurrency: int | None = None
    """Limits in force; None for no limit."""
    per_second: float | None = None
    throttle_reason: str = ""
    """Why operators set these limits; empty where they are as declared."""


def breaker_states() -> dict[str, str]:
    """Return the state of each destination's breaker, and nothing that has to be counted."""
    return dict(_rows("SELECT destination, state FROM outbox_breaker ORDER BY destination"))


def breakers(depths: Sequence[QueueDepth] | None = None) -> list[BreakerView]:
    """Return every destination with the state of its breaker and the limits in force; `depths` if they are known."""
    declared = {destination.name: destination for destination in all_destinations()}
    depths = queue_depth() if depths is None else depths
    waiting = {depth.consumer: depth.ready + depth.scheduled for depth in depths}
    rows = _rows("""
        SELECT destination, state, reason, failures, open_until,
               CASE WHEN throttled_until > now() THEN throttled_until END, changed_at, consumers,
               pinned AND coalesce(pinned_until > now(), true), pinned_until,
               (SELECT coalesce(sum(n::int), 0)::int FROM jsonb_each(held) AS worker (id, calls),
                       jsonb_each_text(calls) AS call (consumer, n)
                WHERE EXISTS (SELECT 1 FROM outbox_worker w WHERE w.id = worker.id::uuid)),
               CASE WHEN holds THEN limit_reason ELSE '' END,
               CASE WHEN holds THEN limit_concurrency END, CASE WHEN holds THEN limit_per_second END
        FROM outbox_breaker b, LATERAL (SELECT coalesce(limit_until > now(), true) AS holds) throttle
        ORDER BY destination
    """)
    found = []
    for name, *before, consumers, pinned, until, in_flight, why, at_once, rate in rows:
        in_line = sum(waiting.get(consumer, 0) for consumer in consumers)
        columns = (name, *before, in_line, pinned, until, in_flight, None, None, why)
        found.append(_with_limits(BreakerView(*columns), declared.get(name), at_once=at_once, rate=rate))
    return found


def _with_limits(
    view: BreakerView, declared: Destination | None, *, at_once: int | None, rate: float | None
) -> BreakerView:
    if declared is not None:
        at_once, rate = at_once or declared.concurrency, rate or declared.rate_per_second
    return replace(view, concurrency=at_once, per_second=rate)


@dataclass(frozen=True)
class WorkerView:
    """A worker process as operators see it."""

    host: str
    pid: int
    started_at: datetime
    seen_seconds: float
    consumer: str
    in_hand: int


def workers() -> list[WorkerView]:
    """Return the worker processes that have signed in, the longest-serving first."""
    return [
        WorkerView(row[0], row[1], row[2], float(row[3]), row[4], row[5])
        for row in _rows("""
            SELECT host, pid, started_at, extract(epoch FROM now() - seen_at), consumer, jsonb_array_length(deliveries)
            FROM outbox_worker ORDER BY started_at
        """)
    ]


def dead_letters() -> int:
    """Return how many dead letters wait for an operator."""
    return int(_rows("SELECT count(*) FROM outbox_delivery WHERE state = 'dead'")[0][0])


def sagas_by_status() -> dict[str, int]:
    """Return the number of unfinished sagas by status."""
    return {
        row[0]: row[1]
        for row in _rows("""
            SELECT status, count(*) FROM outbox_saga WHERE status NOT IN ('completed', 'compensated')
            GROUP BY status ORDER BY status
        """)
    }
