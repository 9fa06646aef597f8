"""The table of what the engine shall reach, and how it is measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial

from django.db import connection

from outbox.models import Worker
from tests.bench.commands import Noop
from tests.bench.engine import cost, drains, waiting
from tests.bench.engine.backlog import empty_tables, fill
from tests.bench.engine.calls import calls
from tests.bench.engine.growth import growth
from tests.bench.engine.publishing import Publishers, publishers
from tests.bench.measuring import LOG, Measure, Result, Row, Samples, result_of, running, take_turns, wait_until
from tests.bench.peers import racing

ROWS = (
    Row("drain.noop", "messages/s", "drain.noop", ">= 0.7", "raw_savepoint_noop_100"),
    Row("drain.noop", "messages/s", "drain.noop", "", "raw_noop_100"),
    Row("drain.update", "messages/s", "drain.update", ">= 0.9", "raw_savepoint_100"),
    Row("drain.update", "messages/s", "drain.update", ">= 8", "django_q2_update"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 0.4", "raw_savepoint_100"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 8", "django_q2_orm"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 8", "procrastinate"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 8", "dbos"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 4", "awa_pg"),
    Row("drain.orm", "messages/s", "drain.orm", ">= 1.5", "graphile_worker"),
    Row("drain.orm", "messages/s", "drain.orm", "", "graphile_worker_batched"),
    Row("drain.many", "messages/s", "drain.many", ">= 0.6", "raw_set_100"),
    Row("drain.external", "messages/s", "drain.external", ">= 1.4", "celery_rabbitmq"),
    Row("external.calls", "s", "external.calls", "<= 3"),
    Row("drain.publish", "messages/s", "drain.publish", ">= 0.4", "raw_savepoint_100"),
    Row("publish.1", "commits/s", "publish.1", ">= 0.7", "order_only.1"),
    Row("publish.1.pickup", "ms", "publish.1", "<= 5"),
    Row("publish.8", "commits/s", "publish.8", ">= 0.7", "order_only.8"),
    Row("publish.8.pickup", "ms", "publish.8", "<= 5"),
    Row("pickup.p50", "ms", "pickup", "<= 1.5", "raw_listen.p50", "raw_listen"),
    Row("pickup.p99", "ms", "pickup", "<= 1.5", "raw_listen.p99", "raw_listen"),
    Row("pickup.slowest", "ms", "pickup", "", "raw_listen.slowest", "raw_listen"),
    Row("cost.statements", "statements/message", "cost", "<= 0.1"),
    Row("cost.commits", "commits/message", "cost", "<= 0.05"),
    Row("cost.wal", "bytes/message", "cost", "<= 700"),
    Row("old_snapshot", "messages/s", "old_snapshot", ">= 0.9", "no_snapshot"),
    Row("growth.noop", "messages/s", "growth", ">= 0.95", "drain.noop"),
    Row("growth.update", "messages/s", "growth", ">= 0.95", "drain.update"),
    Row("growth.pickup.p50", "ms", "growth", "<= 1.05", "pickup.p50", "pickup"),
    Row("growth.pickup.p99", "ms", "growth", "<= 1.05", "pickup.p99", "pickup"),
    Row("growth.counts", "ms", "growth", "<= 50"),
    Row("timers", "ms late", "timers", "<= 100"),
    Row("idle.cpu", "% of a core", "idle", "<= 3"),
    Row("idle.statements", "statements/s", "idle", "<= 5"),
)
LONG = ("old_snapshot", "no_snapshot", "growth", *racing.PEERS)
"""Measured in fewer rounds."""
MESSAGES_TO_COUNT = 5_000
TABLES = """
CREATE TABLE IF NOT EXISTS bench_raw (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb);
CREATE TABLE IF NOT EXISTS bench_inbox (number int PRIMARY KEY);
CREATE SEQUENCE IF NOT EXISTS bench_number START 1000000
"""


def names() -> list[str]:
    """Return the names of the rows."""
    return list(dict.fromkeys(row.name for row in ROWS))


def engine(wanted: Sequence[str], *, peers: bool = True) -> list[Result]:
    """Measure the rows whose names are `wanted`, all in one interleaved run with their baselines.

    Without `peers`, rows held against other queues have no ratio.
    """
    rows = [row for row in ROWS if row.name in wanted]
    needed: set[str] = set().union(*(row.measures for row in rows))
    with connection.cursor() as cursor:
        for table in TABLES.split(";"):
            cursor.execute(table)
    with racing.line_up(needed, left_out=not peers) as others, measures(needed) as own:
        possible = {**own, **others.measures}
        rounds = take_turns({name: measure for name, measure in possible.items() if name in needed}, few=LONG)
    return [result_of(row, rounds, others.missing) for row in rows]


@contextmanager
def measures(needed: set[str]) -> Iterator[dict[str, Measure]]:
    """Have the workers, the bare listener and the clients ready that are `needed`; give every measure there is."""
    with (
        running(["-m", "django", "qcluster"], TANDEM_WORKERS=str(drains.WORKERS)) as cluster,
        running(["-m", "tests.bench.engine.bare_listener"]),
        clients(needed) as publish,
    ):
        wait_until(lambda: Worker.objects.count() == drains.WORKERS and waiting.bare_listens(), what="the workers")
        yield {
            **drains.MEASURES,
            **publish,
            "external.calls": calls,
            "pickup": waiting.pickup,
            "raw_listen": waiting.raw_listen,
            "cost": costs,
            "timers": waiting.timers,
            "idle": partial(waiting.idle, cluster.pid),
            "growth": growth,
        }


@contextmanager
def clients(needed: set[str]) -> Iterator[dict[str, Measure]]:
    """Give the measures of publishing; the clients are started only when one of them is needed."""
    if not any(name.startswith(("publish", "order_only")) for name in needed):
        yield {}
        return
    with publishers() as ready:
        yield dict(measures_of(ready))


def measures_of(ready: Publishers) -> Iterator[tuple[str, Measure]]:
    for count in (1, 8):
        yield f"publish.{count}", partial(ready.publish, count)
        yield f"order_only.{count}", partial(ready.order_only, count)


def costs() -> Samples:
    """Drain in this process, whose log lines go where those of the workers go."""
    empty_tables()
    drains.pause("bench.noop")
    fill(Noop, MESSAGES_TO_COUNT)
    with LOG.open("a") as log, redirect_stderr(log):
        found = cost.cost_of_noop(MESSAGES_TO_COUNT)
    drains.resume("bench.noop")
    return found
