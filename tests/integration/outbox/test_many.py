"""Handlers that take a batch at once."""

from uuid import uuid4

import pytest

from outbox.models import Delivery, Message, Receipt
from outbox.publishing import send, unit_of_work
from tests.lab import handlers
from tests.lab.commands import Gather
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8")]


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    handlers.gathered.clear()


def ask(count: int, bad: int | None = None, behaviour: str = "permanent") -> list:
    with unit_of_work():
        return [
            send(Gather(bench_id=uuid4(), number=number, behaviour=behaviour if number == bad else ""))
            for number in range(count)
        ]


def effects() -> list[int]:
    return sorted(Effect.objects.filter(label="gathered").values_list("number", flat=True))


def test_a_batch_is_one_call_and_each_message_has_its_receipt(drain, invariants_hold):
    ids = ask(10)
    drain()
    assert handlers.gathered == [10]
    assert effects() == list(range(10))
    assert set(Receipt.objects.filter(consumer="lab.gather").values_list("message_id", flat=True)) == set(ids)


def test_the_message_that_fails_is_found_by_calling_with_one_at_a_time(drain, invariants_hold):
    ids = ask(10, bad=6)
    drain()
    assert handlers.gathered == [10, *[1] * 10]
    assert effects() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert list(Delivery.objects.values_list("message_id", "state", "attempts")) == [(ids[6], "dead", 1)]


def test_what_it_publishes_belongs_to_the_message_it_speaks_for(drain):
    ids = ask(3)
    drain()
    assert list(Message.objects.filter(name="lab.noted").order_by("id").values_list("causation_id", flat=True)) == ids
