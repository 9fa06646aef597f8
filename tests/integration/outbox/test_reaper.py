"""What a worker's death means for what it had in hand."""

from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from outbox.engine import reaper
from outbox.models import Delivery, Worker
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Note

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M15")]


def note_and_die(deliveries: list[int], times: int = 1) -> None:
    """Leave the notes of `times` workers that died with the same deliveries in hand, before anybody noticed."""
    for _ in range(times):
        Worker.objects.create(id=uuid7(), host="elsewhere", pid=1, lock=1, consumer="lab.note", deliveries=deliveries)
    reaper.reap()


@pytest.fixture
def batch(transactional_db) -> list[int]:
    with unit_of_work():
        for number in range(3):
            send(Note(bench_id=uuid4(), number=number))
    return list(Delivery.objects.values_list("id", flat=True))


def states() -> list[tuple[str, int]]:
    return list(Delivery.objects.order_by("id").values_list("state", "crashes"))


def test_workers_that_die_of_one_batch_before_the_first_death_is_noticed_isolate_it_and_give_nothing_up(batch):
    note_and_die(batch, times=4)
    assert states() == [("isolated", 2)] * 3


def test_a_message_that_ran_alone_is_given_up_at_its_third_crash(batch):
    note_and_die(batch, times=2)
    note_and_die(batch[:1])
    assert states() == [("dead", 3), ("isolated", 2), ("isolated", 2)]


def test_the_first_crash_only_tries_again(batch):
    note_and_die(batch)
    assert states() == [("ready", 1)] * 3
