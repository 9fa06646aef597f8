"""The database's clock, which all deadlines go by, is moved under the workers, or while none of them is there."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db import connection

from outbox.invariants import verify
from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import RunningCluster, run_cluster
from tests.faults.server import LIBFAKETIME, NOBODY, TimeTraveller, own_server
from tests.lab.commands import Call, Note
from tests.lab.models import Effect
from tests.reporting import needs
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.requirement("M8", "M16")]


@pytest.fixture
def server(tmp_path, django_db_blocker) -> Iterator[TimeTraveller]:
    """A server of our own whose clock can be moved."""
    if not LIBFAKETIME.exists():
        needs("faketime")
    with django_db_blocker.unblock(), own_server(TimeTraveller(tmp_path / "server")) as own:
        yield own


@contextmanager
def workers(home: Path) -> Iterator[RunningCluster]:
    """Two workers on it."""
    home.mkdir()
    yield from run_cluster(home, {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY})


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


def assert_done_once(ids: list[UUID]) -> None:
    effects = Effect.objects.filter(message_id__in=ids, label__in=["note", "answer"])
    assert Counter(effects.values_list("message_id", flat=True)) == Counter(ids)
    eventually(lambda: not any(verdict.violations for verdict in verify()))


def test_a_clock_that_jumps_back_and_forth_by_a_day_does_not_hold_up_what_is_ready(server, tmp_path):
    with workers(tmp_path / "workers"):
        done = work(3)
        for offset, seconds in (("-1d", -80_000), ("+0", 0), ("+1d", 80_000), ("+0", 0)):
            server.jump(offset)
            assert abs(server_clock() - time.time() - seconds) < 10_000
            done += work(5)
    assert_done_once(done)


@pytest.mark.slow
def test_timers_that_were_due_while_nobody_worked_fire_once_when_somebody_does(server, tmp_path):
    with unit_of_work():
        hours = [1, 5, 20, 30]
        ids = [send(Note(bench_id=uuid4(), number=n), delay=timedelta(hours=n)) for n in hours for _ in range(5)]
    server.jump("+1d")
    with workers(tmp_path / "first"), workers(tmp_path / "second"):
        eventually(lambda: not Delivery.objects.filter(message_id__in=ids[:15]).exists(), 20)
        work(3)
        assert set(Delivery.objects.values_list("message_id", "state")) == {(late, "scheduled") for late in ids[15:]}
        server.jump("+2d")
        eventually(lambda: not Delivery.objects.exists(), 20)
    assert_done_once(ids)
