"""From commit to the start of the handler, at 20 messages a second: our workers against a bare LISTEN loop."""

import statistics
import time
from collections.abc import Callable
from uuid import uuid4

from django.db import connection, transaction

from outbox.models import Worker
from outbox.publishing import send, unit_of_work
from tests.bench.commands import Stamp
from tests.bench.measuring import Result, Samples, compare, running, wait_until
from tests.bench.models import Pickup

PER_SECOND = 20
MESSAGES = 160
BENCH = uuid4()


def pickup() -> list[Result]:
    """Measure it. The listeners of both sides wait all the time; only one side is spoken to."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_inbox (number int PRIMARY KEY)")
    with (
        running(["-m", "django", "qcluster"], TANDEM_WORKERS="2"),
        running(["-m", "tests.bench.bare_listener"]),
    ):
        wait_until(lambda: Worker.objects.count() == 2 and _bare_listens(), what="the listeners")
        return compare(
            lambda: _paced(_send),
            lambda: _paced(_insert_and_notify),
            units={"pickup_p50": "ms", "pickup_p99": "ms"},
            bounds={},
        )


def _bare_listens() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bare_listener'")
        return bool(cursor.fetchone()[0])


def _paced(say: Callable[[int], float]) -> Samples:
    """Say MESSAGES numbers at an even pace; `say` returns when it was committed."""
    Pickup.objects.all().delete()
    committed, started = {}, time.monotonic()
    for number in range(MESSAGES):
        time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        committed[number] = say(number)
    wait_until(lambda: Pickup.objects.count() == MESSAGES, what="the last message")
    waits = sorted((at - committed[number]) * 1000 for number, at in Pickup.objects.values_list("number", "at"))
    return {"pickup_p50": statistics.median(waits), "pickup_p99": waits[int(len(waits) * 0.99)]}


def _send(number: int) -> float:
    committed = []
    with unit_of_work():
        send(Stamp(bench_id=BENCH, number=number))
        transaction.on_commit(lambda: committed.append(time.time()))
    return committed[0]


def _insert_and_notify(number: int) -> float:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_inbox VALUES (%s)", [number])
    committed = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('bench_bare', '')")
    return committed
