"""Many slow calls at once, to a destination with twenty places."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from outbox.models import Receipt
from outbox.publishing import send, unit_of_work
from tests.bench.commands import Visit
from tests.bench.engine.backlog import BENCH, empty_tables
from tests.bench.engine.drains import drained, pause, resume
from tests.bench.measuring import Samples, wait_until

CALLS = 200
CONSUMER = "bench.visit"


def calls() -> Samples:
    """Return the seconds from the moment the workers may begin to the record of the last call."""
    empty_tables()
    pause(CONSUMER)
    with slow_server() as url:
        with unit_of_work():
            for number in range(CALLS):
                send(Visit(bench_id=BENCH, number=number, url=url))
        began = _seconds("SELECT extract(epoch FROM clock_timestamp())")
        resume(CONSUMER)
        wait_until(lambda: drained(CONSUMER), what="the last call")
    assert Receipt.objects.filter(consumer=CONSUMER).count() == CALLS
    ended = _seconds("SELECT extract(epoch FROM max(finished_at)) FROM outbox_receipt")
    return {"external.calls": ended - began}


@contextmanager
def slow_server() -> Iterator[str]:
    """Run the server; give its address."""
    command = [sys.executable, "-m", "tests.bench.engine.slow_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _seconds(sql: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])
