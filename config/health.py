"""Whether it lives, whether it is ready, whether work gets done: for load balancers and people; and its metrics."""

import math
import os
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import multiprocess as prometheus_multiprocess
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from outbox import pressure, queue_health, stats
from outbox.postgresql.driver import answers_within

ANSWER_SECONDS = 3.0
"""A database that takes longer is not healthy; who asks for health gives up soon."""
WORKER_SEEN_WITHIN_SECONDS = 15.0
OLDEST_DUE_WITHIN_SECONDS = 60.0


def _answer(healthy: bool, **components: Any) -> JsonResponse:
    body = {"status": "ok" if healthy else "failing", **components}
    response = JsonResponse(body, status=200 if healthy else 503)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def live(_request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return _answer(healthy=True, release=settings.RELEASE)


@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """Orders can be placed: the database answers. What else is down is told, and does not matter here."""
    try:
        with answers_within(ANSWER_SECONDS), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
            breakers = stats.breaker_states()
    except DatabaseError as error:
        return _answer(healthy=False, components={"database": f"failing: {type(error).__name__}"})
    outside = {name: "ok" if state == "closed" else f"degraded: breaker {state}" for name, state in breakers.items()}
    components = {"database": "ok", "queue": _queue(), **outside}
    degraded = sorted(name for name, state in components.items() if state != "ok")
    return _answer(healthy=True, components=components, degraded=degraded)


def _queue() -> str:
    """Say whether work gets done; that it does not keeps no order from being accepted."""
    try:
        with answers_within(ANSWER_SECONDS):
            seen = [view.seen_seconds for view in stats.workers()]
            oldest = stats.oldest_due_seconds()
    except DatabaseError as error:
        return f"unknown: {type(error).__name__}"
    if min(seen, default=math.inf) > WORKER_SEEN_WITHIN_SECONDS:
        return f"degraded: no worker, oldest due work {oldest:.0f} s"
    return "ok" if oldest <= OLDEST_DUE_WITHIN_SECONDS else f"degraded: oldest due work {oldest:.0f} s"


@require_safe
def workers(_request: HttpRequest) -> HttpResponse:
    """Work gets done: a worker was seen lately, and nothing that could run has waited too long.

    Backlogs over their bounds are told; they alone are no failure, since orders are accepted all the same.
    """
    try:
        with answers_within(ANSWER_SECONDS):
            seen = [round(view.seen_seconds, 1) for view in stats.workers()]
            oldest = stats.oldest_due_seconds()
            over = pressure.over_bounds()
    except DatabaseError as error:
        return _answer(healthy=False, components={"database": f"failing: {type(error).__name__}"})
    alive = [seconds for seconds in seen if seconds <= WORKER_SEEN_WITHIN_SECONDS]
    return _answer(
        healthy=bool(alive) and oldest <= OLDEST_DUE_WITHIN_SECONDS,
        workers=len(alive),
        last_seen_seconds=min(seen, default=None),
        oldest_due_seconds=round(oldest, 1),
        over_bound=[backlog.consumer for backlog in over],
    )


class QueueCollector:
    """Figures that the database knows best, read when they are scraped."""

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauges of queue, breakers, workers and sagas."""
        depth = GaugeMetricFamily(
            "tandem_queue_depth",
            "Unfinished deliveries; of a long queue as counted within the last seconds",
            labels=["consumer", "state"],
        )
        age = GaugeMetricFamily("tandem_oldest_due_seconds", "Age of the oldest due delivery", labels=["consumer"])
        over = GaugeMetricFamily(
            "tandem_backlog_over_bound", "1 while more is ready than should be", labels=["consumer"]
        )
        for row in stats.queue_depth():
            for state in ("ready", "scheduled", "leased", "dead", "parked"):
                depth.add_metric([row.consumer, state], getattr(row, state))
            age.add_metric([row.consumer], row.oldest_seconds)
            over.add_metric([row.consumer], float(row.over_bound))
        breaker = GaugeMetricFamily("tandem_breaker_state", "0 closed, 1 half open, 2 open", labels=["destination"])
        for destination, state in stats.breaker_states().items():
            breaker.add_metric([destination], {"closed": 0, "half_open": 1, "open": 2}[state])
        workers = GaugeMetricFamily("tandem_workers", "Worker processes signed in", value=len(stats.workers()))
        sagas = GaugeMetricFamily("tandem_sagas", "Unfinished sagas", labels=["status"])
        for status, count in stats.sagas_by_status().items():
            sagas.add_metric([status], count)
        return [depth, age, over, breaker, workers, sagas]


class TableCollector:
    """How the queue's tables are, from PostgreSQL's own statistics, read when they are scraped."""

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauges of the hot tables, of the transaction that holds cleaning back, and of the months."""
        health = queue_health.look()
        rows = GaugeMetricFamily("tandem_table_rows", "Rows of a hot table, estimated", labels=["table", "kind"])
        size = GaugeMetricFamily("tandem_table_bytes", "Size of a hot table", labels=["table", "part"])
        cleaned = GaugeMetricFamily("tandem_table_autovacuum_age_seconds", "Since it was cleaned", labels=["table"])
        for table in health.tables:
            rows.add_metric([table.name, "live"], table.live)
            rows.add_metric([table.name, "dead"], table.dead)
            size.add_metric([table.name, "rows"], table.table_bytes)
            size.add_metric([table.name, "indexes"], table.index_bytes)
            if table.autovacuum_seconds is not None:
                cleaned.add_metric([table.name], table.autovacuum_seconds)
        seconds = health.holder.seconds if health.holder else 0.0
        oldest = GaugeMetricFamily("tandem_oldest_transaction_seconds", "Holds back cleaning so long", value=seconds)
        slots = GaugeMetricFamily("tandem_slot_transactions", "A slot holds back so many", labels=["slot"])
        for slot in health.slots:
            slots.add_metric([slot.name], slot.transactions)
        hidden = GaugeMetricFamily("tandem_hidden_sessions", "Sessions that may not be seen", value=health.hidden)
        ahead = GaugeMetricFamily("tandem_partitions_ahead", "Months made after this one", value=health.months_ahead)
        history = GaugeMetricFamily("tandem_history_bytes", "Size of all months", labels=["kind"])
        history.add_metric(["messages"], health.messages_bytes)
        history.add_metric(["receipts"], health.receipts_bytes)
        return [rows, size, cleaned, oldest, slots, hidden, ahead, history]


@require_safe
def metrics(_request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of every web and worker process, and the queue's figures."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        prometheus_multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    registry.register(QueueCollector())
    registry.register(TableCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
