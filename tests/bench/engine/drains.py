"""Draining a backlog with two workers: from the moment they may begin to the moment the last batch began."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import psycopg
from django.db import connection
from django_q.models import OrmQ

from outbox import control
from outbox.contracts import Command
from outbox.models import Delivery, Receipt
from outbox.publishing import unit_of_work
from tests.bench.commands import Call, Forward, Forwarded, Many, Noop, Numbered, Touch, Update
from tests.bench.engine.backlog import BENCH, ITEMS, empty_tables, fill
from tests.bench.engine.effects import steady_rate, watch
from tests.bench.engine.raw import LOOPS, START_LOCK
from tests.bench.measuring import Measure, Samples, running, wait_until
from tests.bench.models import Item

BACKLOG = ITEMS
CALLS = 4_000
"""Fewer, since each is a commit of its own: what is compared is the rate."""
LONG_BACKLOG = 200_000
STOCK = 2_000
"""What stock django-q2 drains: fewer, since it is slower."""
WORKERS = 2
REASON = "benchmark"


def consumer_of(contract: type[Command]) -> str:
    return str(contract.__name__).lower().join(("bench.", ""))


def pause(*consumers: str) -> None:
    with unit_of_work():
        control.pause(consumers, REASON)


def resume(*consumers: str) -> None:
    with unit_of_work():
        control.resume(consumers, REASON)


def drained(consumer: str) -> bool:
    return not Delivery.objects.filter(consumer=consumer, state__in=("ready", "leased", "scheduled")).exists()


def rate(consumer: str) -> float:
    """Return the messages per second between the beginnings of the first batch and of the last, by their receipts."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH batch AS (
                SELECT finished_at AS began, count(*) AS messages FROM outbox_receipt WHERE consumer = %s GROUP BY 1
            )
            SELECT (sum(messages) - (array_agg(messages ORDER BY began DESC))[1])
                   / extract(epoch FROM max(began) - min(began)) FROM batch
            """,
            [consumer],
        )
        return float(cursor.fetchone()[0])


def drain(
    name: str,
    contract: type[Numbered],
    messages: int = BACKLOG,
    *,
    touches: bool = False,
    before: Callable[[], object] | None = None,
) -> Samples:
    """Let the workers drain `messages` of `contract`, alone in the tables; return the rate under `name`.

    `before` is called at the start.
    """
    empty_tables()
    return drain_beside(name, contract, messages, touches=touches, before=before)


def drain_beside(
    name: str,
    contract: type[Numbered],
    messages: int = BACKLOG,
    *,
    touches: bool = False,
    before: Callable[[], object] | None = None,
) -> Samples:
    """The same, beside whatever else the tables hold."""
    consumer = consumer_of(contract)
    pause(consumer)
    fill(contract, messages)
    if before:
        before()
    resume(consumer)
    wait_until(lambda: drained(consumer), what=f"the end of {name}", every=messages / BACKLOG / 10)
    assert Receipt.objects.filter(consumer=consumer).count() == messages
    assert not touches or Item.objects.filter(touched=1).count() == messages
    return {name: rate(consumer)}


def forward() -> Samples:
    """Drain messages whose handler publishes one, and check that each did."""
    pause(consumer_of(Forwarded))
    samples = drain("drain.publish", Forward)
    assert Delivery.objects.filter(consumer=consumer_of(Forwarded)).count() == BACKLOG
    return samples


def old_snapshot() -> Samples:
    """Drain a long backlog while another session holds a snapshot from before, as a report or a backup does."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return drain("old_snapshot", Noop, LONG_BACKLOG, before=lambda: other.execute("SELECT 1"))


def raw(loop: str) -> Samples:
    """Let WORKERS bare loops drain as much, in a table of their own."""
    empty_tables()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE bench_raw")
        cursor.execute(
            "INSERT INTO bench_raw (payload) SELECT jsonb_build_object('bench_id', %s::text, 'number', n)"
            " FROM generate_series(1, %s) n",
            [str(BENCH), BACKLOG],
        )
        cursor.execute("SELECT pg_advisory_lock(%s)", [START_LOCK])
        command = [sys.executable, "-m", "tests.bench.engine.raw", loop]
        loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
        for process in loops:
            assert process.stdout
            assert process.stdout.readline().strip() == "ready"
        cursor.execute("SELECT extract(epoch FROM clock_timestamp()), pg_advisory_unlock(%s)", [START_LOCK])
        began = float(cursor.fetchone()[0])
    ended = max(float(process.communicate(timeout=120)[0]) for process in loops)
    return {loop: BACKLOG / (ended - began)}


def stock_django_q2(name: str, work: str) -> Samples:
    """Let stock django-q2 drain fewer; return the rate of its effects under `name`."""
    empty_tables()
    stock = {"DJANGO_SETTINGS_MODULE": "tests.bench.stock_settings"}
    with running(["-m", "tests.bench.stock_fill", work, str(STOCK)], **stock) as filling:
        assert filling.wait() == 0
    with running(["-m", "django", "qcluster"], **stock):
        looks = watch(STOCK)
        wait_until(lambda: not OrmQ.objects.filter(key="stock").exists(), what="acknowledgements")
    return {name: steady_rate(looks, STOCK)}


MEASURES: dict[str, Callable[[], Samples] | Measure] = {
    **{loop: partial(raw, loop) for loop in LOOPS},
    "drain.noop": partial(drain, "drain.noop", Noop),
    "drain.update": partial(drain, "drain.update", Update, touches=True),
    "drain.orm": partial(drain, "drain.orm", Touch, touches=True),
    "drain.many": partial(drain, "drain.many", Many, touches=True),
    "drain.publish": forward,
    "old_snapshot": old_snapshot,
    "no_snapshot": partial(drain, "no_snapshot", Noop, LONG_BACKLOG),
    "drain.external": partial(drain, "drain.external", Call, CALLS),
    "django_q2_orm": partial(stock_django_q2, "django_q2_orm", "touch"),
    "django_q2_update": partial(stock_django_q2, "django_q2_update", "update"),
}
