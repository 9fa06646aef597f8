"""Several workers and several schedulers look at the same clock: each thing that is due happens once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from outbox.engine.shift import Shift
from outbox.models import Delivery, Receipt
from outbox.publishing import send, unit_of_work
from outbox.q2 import sync_schedules
from tests.lab.commands import Note
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8", "M16")]
WORKERS = 4


def at_once(work: Callable[[], object]) -> None:
    """Do `work` on several threads, each with a connection of its own, all of which begin together."""
    barrier = Barrier(WORKERS)

    def one(_: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(20)
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, range(WORKERS)))


def test_timers_that_are_due_together_fire_once_though_every_worker_looks(invariants_hold):
    with unit_of_work():
        ids = [send(Note(bench_id=uuid4(), number=n), delay=timedelta(milliseconds=n % 300)) for n in range(200)]

    def work() -> None:
        worker = Shift()
        while Delivery.objects.exists():
            worker.run(lambda: not Delivery.objects.exists(), seconds=0.5)
        worker.me.sign_out()

    at_once(work)
    effects = Effect.objects.filter(label="note").values_list("message_id", flat=True)
    assert Counter(effects) == Counter(ids)
    receipts = Receipt.objects.filter(consumer="lab.note").values_list("message_id", flat=True)
    assert Counter(receipts) == Counter(ids)


def test_of_several_schedulers_one_hands_out_each_periodic_job():
    sync_schedules()
    Schedule.objects.update(next_run=timezone.now() - timedelta(minutes=5))
    at_once(scheduler)
    assert OrmQ.objects.count() == Schedule.objects.count() == len(settings.PERIODIC_JOBS)
    assert not Schedule.objects.filter(next_run__lt=timezone.now()).exists()
