"""The database's clock, which all deadlines go by, is set back under the workers."""

import time
from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import connection

from outbox.invariants import verify
from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import run_cluster
from tests.faults.server import LIBFAKETIME, NOBODY, TimeTraveller, own_server
from tests.lab.commands import Call, Note
from tests.lab.models import Effect
from tests.reporting import needs
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.requirement("M8", "M16")]


@pytest.fixture
def server(tmp_path, django_db_blocker) -> Iterator[TimeTraveller]:
    """A server of our own whose clock can be moved, with two workers on it."""
    if not LIBFAKETIME.exists():
        needs("faketime")
    with django_db_blocker.unblock(), own_server(TimeTraveller(tmp_path / "server")) as own:
        for _ in run_cluster(tmp_path, {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY}):
            yield own


def work(count: int) -> list[UUID]:
    """Send notes and calls, and wait until all of them are done."""
    with unit_of_work():
        ids = [send(kind(bench_id=uuid4(), number=number)) for number in range(count) for kind in (Note, Call)]
    eventually(lambda: not Delivery.objects.filter(message_id__in=ids).exists(), 20)
    return ids


def server_clock() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def test_a_clock_that_jumps_back_a_day_does_not_hold_up_what_is_ready(server):
    done = work(3)
    server.jump("-1d")
    assert server_clock() < time.time() - 80_000
    done += work(10)
    server.jump("+0")
    assert server_clock() > time.time() - 60
    done += work(3)
    labels = Effect.objects.filter(message_id__in=done, label__in=["note", "answer"])
    assert Counter(labels.values_list("message_id", flat=True)) == Counter(done)
    eventually(lambda: not any(verdict.violations for verdict in verify()))
