"""Fairness: whoever has little to do waits for the batch that is under way, not for somebody else's backlog."""

import threading
import time
from uuid import UUID

import pytest
from django.db import connection

from outbox.consumers import fair_key
from outbox.context import scope
from outbox.engine.shift import Shift
from outbox.models import Delivery, Receipt
from payments.commands import AuthorisePayment
from tests.integration.outbox.asking import BENCH, ask, single, sql
from tests.lab import letters
from tests.lab.letters import Letter
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M17")]
BATCH = 20
"""As lab.note declares it."""
BACKLOG = """
WITH said AS (
    INSERT INTO outbox_message
        (id, name, version, kind, aggregate, aggregate_id, payload, headers, correlation_id, actor)
    SELECT id, 'lab.note', 1, 'command', 'bench', id, jsonb_build_object('bench_id', id, 'number', number), '{}', id, ''
    FROM (SELECT (left(m.id::text, 24) || lpad(to_hex(number), 12, '0'))::uuid AS id, number
          FROM generate_series(1, %s) AS number, (SELECT %s::uuid AS id) m) numbered
    RETURNING id
) INSERT INTO outbox_delivery (message_id, consumer) SELECT id, 'lab.note' FROM said
"""


@pytest.mark.parametrize("backlog", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_single_message_waits_for_one_batch_whatever_another_consumers_backlog(transactional_db, backlog):
    (first,) = ask(single(0))
    sql(BACKLOG, backlog, first)
    worker, met = Shift(), []

    def arrive_in_the_middle() -> None:
        while Effect.objects.filter(label="note").count() < 5 * BATCH:
            time.sleep(0.002)
        before = Effect.objects.filter(label="note").count()
        met.extend([before, time.monotonic(), *ask(single(1))])
        connection.close()

    arriving = threading.Thread(target=arrive_in_the_middle)
    arriving.start()
    worker.run(lambda: Effect.objects.filter(label="single", number=1).exists(), seconds=30)
    took = time.monotonic() - met[1]
    arriving.join()
    worker.me.sign_out()
    done = Effect.objects.get(label="single", number=1)
    waited_for = Effect.objects.filter(label="note", id__lt=done.id).count() - met[0]
    assert waited_for <= 3 * BATCH, "the one under way, and those of the moment between counting and committing"
    assert took < 2
    assert Delivery.objects.filter(consumer="lab.note").count() > backlog / 2, "the backlog is still there"
    assert isinstance(met[2], UUID)
    assert Receipt.objects.filter(message_id=met[2]).exists()


def test_lower_priorities_go_first(drain):
    with_priority = {number: ask(single(number))[0] for number in range(4)}
    for number, message_id in with_priority.items():
        Delivery.objects.filter(message_id=message_id).update(priority=-number)
    drain()
    assert list(Effect.objects.order_by("id").values_list("number", flat=True)) == [3, 2, 1, 0]


@pytest.fixture
def post():
    """What is sent, in order."""
    letters.sent.clear()
    return letters.sent


def write(customer: str, count: int, first: int = 0) -> list[UUID]:
    return ask(*(Letter(bench_id=BENCH, customer=customer, number=n) for n in range(first, first + count)))


def test_a_customers_single_message_goes_after_one_of_anothers_thousands(drain, post, invariants_hold):
    write("greedy", 2_000)
    write("modest", 1)
    drain(until=lambda: ("modest", 0) in post)
    assert post.index(("modest", 0)) <= 7, "a turn of each, and the calls that go out together"
    greedy = sorted(number for customer, number in post if customer == "greedy")
    assert greedy == list(range(len(greedy))), "the others wait for their turn"
    sql("DELETE FROM outbox_delivery")


def test_one_who_comes_later_joins_in_where_the_others_are(drain, post, invariants_hold):
    write("greedy", 60)
    drain(until=lambda: len(post) >= 20)
    before = len(post)
    write("late", 10)
    drain()
    order = [customer for customer, _ in post[before:]]
    assert order.index("late") <= 8
    assert 10 <= order.index("late") + len(order[: _last(order, "late")]) <= 36, "one of each in turn"
    assert len(post) == len(set(post)) == 70


def _last(order: list[str], customer: str) -> int:
    return len(order) - order[::-1].index(customer)


def test_what_a_release_without_fairness_has_sent_is_done_too(drain, post, invariants_hold):
    write("greedy", 10)
    sql("UPDATE outbox_delivery SET turn = NULL, fair_key = NULL WHERE id % 2 = 0")
    drain()
    assert len(post) == 10


def test_those_who_are_not_fair_by_keys_neither_have_turns_nor_pay_for_them(transactional_db, statements):
    ask(single(1))
    assert not [statement for statement in statements if "fair_key" in statement]
    assert sql("SELECT turn, fair_key FROM outbox_delivery") == [(None, None)]


def test_messages_of_payments_take_turns_by_the_customer_in_whose_name_they_are_sent():
    with scope(actor="customer:cus_1"):
        assert (
            fair_key("payments.create_intent", AuthorisePayment(payment_id=BENCH, order_id=BENCH)) == "customer:cus_1"
        )
