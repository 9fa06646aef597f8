"""The thread that keeps a worker's leases while its main thread is busy with something long."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from outbox.engine import heart
from outbox.engine.heart import Heart
from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Call
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8")]


def leased(count: int, owner: UUID) -> list[UUID]:
    """Have `owner` lease `count` deliveries, for a second."""
    with unit_of_work():
        ids = [send(Call(bench_id=uuid4(), number=number)) for number in range(count)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_delivery SET state = 'leased', lease_owner = %s, lease_until = now() + interval '1 s'",
            (owner,),
        )
    return ids


def until(message_id: UUID) -> datetime:
    return Delivery.objects.get(message_id=message_id).lease_until


def ran_out(message_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT lease_until < now() FROM outbox_delivery WHERE message_id = %s", (message_id,))
        return cursor.fetchone()[0]


@pytest.fixture
def beating(settings) -> Iterator[Heart]:
    """Beside a main thread that does not come round from now on."""
    settings.LEASE_SECONDS = 1
    beats = Heart(uuid4())
    beats.start()
    yield beats
    beats.stop()
    beats._thread.join(10)
    assert not beats._thread.is_alive()


def test_leases_are_extended_while_the_main_thread_does_something_long(beating):
    (message_id,) = leased(1, beating._owner)
    for _ in range(3):
        before = until(message_id)
        eventually(lambda before=before: until(message_id) > before)


def test_a_delivery_that_is_being_recorded_does_not_keep_the_others_from_being_extended(beating):
    locked, other = leased(2, beating._owner)
    with transaction.atomic():
        Delivery.objects.select_for_update().get(message_id=locked)
        before = until(other)
        eventually(lambda: until(other) > before)


def test_the_leases_of_others_are_left_alone(beating):
    (theirs,) = leased(1, uuid4())
    eventually(lambda: ran_out(theirs))


def test_the_leases_of_a_main_thread_that_hangs_run_out(beating, monkeypatch):
    (message_id,) = leased(1, beating._owner)
    before = until(message_id)
    eventually(lambda: until(message_id) > before)
    monkeypatch.setattr(heart, "HUNG_SECONDS", 0.0)
    eventually(lambda: ran_out(message_id))
    eventually(lambda: beating._connection is None, 10)
