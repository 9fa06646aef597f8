"""Workers that wait: how soon they begin when a message comes or a timer runs out, and what waiting costs."""

import random
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import psutil
from django.db import connection, transaction

from outbox.publishing import send, unit_of_work
from tests.bench.commands import Stamp
from tests.bench.measuring import Samples, wait_until
from tests.bench.models import Pickup

PER_SECOND = 20
MESSAGES = 200
TIMERS = 50
IDLE_SECONDS = 10.0
BENCH = uuid4()


def bare_listens() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bare_listener'")
        return bool(cursor.fetchone()[0])


def pickup() -> Samples:
    """From commit to the start of the handler; several shifts of each worker end meanwhile."""
    return _paced("pickup", _send)


def raw_listen() -> Samples:
    """The same for one bare loop that listens."""
    return _paced("raw_listen", _insert_and_notify)


def _paced(name: str, say: Callable[[int], float]) -> Samples:
    """Say MESSAGES numbers at an even pace; `say` returns when it was committed."""
    Pickup.objects.all().delete()
    committed, started = {}, time.monotonic()
    for number in range(MESSAGES):
        time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        committed[number] = say(number)
    wait_until(lambda: Pickup.objects.count() == MESSAGES, what="the last message")
    waits = sorted((at - committed[number]) * 1000 for number, at in Pickup.objects.values_list("number", "at"))
    return {
        f"{name}.p50": statistics.median(waits),
        f"{name}.p99": waits[int(len(waits) * 0.99)],
        f"{name}.slowest": waits[-1],
    }


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


def timers() -> Samples:
    """How late the handlers of scheduled messages begin, while the workers have nothing else to do."""
    Pickup.objects.all().delete()
    due = {}
    for number in range(TIMERS):
        delay = random.uniform(0.1, 2.0)
        with unit_of_work(), connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM now())")
            due[number] = float(cursor.fetchone()[0]) + delay
            send(Stamp(bench_id=BENCH, number=number), delay=timedelta(seconds=delay))
        time.sleep(0.02)
    wait_until(lambda: Pickup.objects.count() == TIMERS, what="the last timer")
    late = [(at - due[number]) * 1000 for number, at in Pickup.objects.values_list("number", "at")]
    assert min(late) >= 0, "a timer was early"
    return {"timers": max(late)}


def idle(cluster: int) -> Samples:
    """What the processes of the cluster use while nothing happens: share of one core, statements a second."""
    before, started = _cpu_seconds(cluster), time.monotonic()
    statements: set[tuple[int, datetime]] = set()
    while time.monotonic() < started + IDLE_SECONDS:
        statements.update(_latest_statements())
        time.sleep(0.005)
    seconds = time.monotonic() - started
    used = _cpu_seconds(cluster) - before
    return {"idle.cpu": used / seconds * 100, "idle.statements": len(statements) / seconds}


def _cpu_seconds(cluster: int) -> float:
    main = psutil.Process(cluster)
    return sum(sum(process.cpu_times()[:2]) for process in (main, *main.children(recursive=True)))


def _latest_statements() -> list[tuple[int, datetime]]:
    """Return the session and the beginning of each session's latest statement, if that is not long ago.

    Of statements that follow each other within a few milliseconds in one session the last is seen.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, query_start FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND query_start > clock_timestamp() - interval '0.5 s'"
        )
        return list(cursor.fetchall())
