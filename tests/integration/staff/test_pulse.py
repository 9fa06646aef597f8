"""The pulse page tells the state of the system in words and figures."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from config.pulse import take_pulse
from outbox.models import Breaker, Delivery, Message, Rollup, Saga, Worker

pytestmark = pytest.mark.requirement("M33", "M45")


@pytest.fixture
def worker(db) -> Worker:
    return Worker.objects.create(id=uuid7(), host="vm", pid=42, lock=1)


def page(client) -> str:
    return client.get("/staff/").content.decode()


def tally(consumer: str, measure: str, value: int, minutes_ago: int = 0) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes_ago)
    Rollup.objects.create(minute=minute, consumer=consumer, measure=measure, value=value)


def test_a_system_at_rest_says_that_everything_flows(viewer, worker):
    assert "Everything flows." in page(viewer)
    assert "No orders in the last hour." in page(viewer)


def test_without_workers_the_page_says_what_goes_on_and_what_waits(viewer, shop):
    shop.placed()
    assert "No worker is running." in page(viewer)
    assert "Orders are accepted as usual" in page(viewer)
    assert take_pulse().in_progress == 1


def test_orders_and_money_of_today_come_from_the_rollups(viewer, worker):
    tally("orders", "placed", 7)
    tally("orders", "placed", 5, minutes_ago=2)
    tally("orders", "authorised_EUR", 25_800)
    tally("orders", "captured_EUR", 12_900)
    tally("orders", "captured_JPY", 500_000)
    pulse = take_pulse()
    assert (pulse.orders_today, pulse.orders_hour) == (12, 12)
    assert [(money.currency, money.authorised, money.captured) for money in pulse.money] == [
        ("EUR", Decimal("25.8"), Decimal("12.9")),
        ("JPY", Decimal(0), Decimal(500)),
    ]


@pytest.mark.requirement("M41")
def test_an_outage_says_since_when_what_goes_on_and_what_waits(viewer, shop, worker):
    shop.placed()
    Breaker.objects.create(destination="payments", state="open", consumers=["payments.create_intent"])
    html = page(viewer)
    assert "The payment provider does not answer." in html
    assert "1 message waits and will go on when it is back" in html
    assert "Held: payments" in html


def test_dead_letters_are_counted_and_grouped_by_cause(viewer, worker):
    for number in range(3):
        message = Message.objects.create(
            name="payments.capture_payment",
            version=1,
            kind="command",
            aggregate="payment",
            aggregate_id=uuid7(),
            payload={},
            correlation_id=uuid7(),
        )
        Delivery.objects.create(
            message_id=message.id,
            consumer="payments.capture",
            state="dead",
            fingerprint="a" if number else "b",
            last_error="No such card" if number else "Broken",
            died_at=timezone.now(),
        )
    pulse = take_pulse()
    assert (pulse.dead, pulse.attention) == (3, 3)
    assert sorted((cause.error, cause.count) for cause in pulse.causes) == [("Broken", 1), ("No such card", 2)]
    assert "3 messages were given up." in page(viewer)


@pytest.mark.requirement("M19")
def test_what_no_running_release_knows_is_not_called_given_up(viewer, worker):
    Delivery.objects.create(message_id=uuid7(), consumer="payments.of_tomorrow", state="parked")
    assert [(queue.tone, queue.word) for queue in take_pulse().queues] == [("attention", "1 parked")]
    html = page(viewer)
    assert "1 message waits for another release." in html
    assert "/admin/outbox/delivery/?state__exact=parked" in html


def test_a_stuck_saga_needs_attention(viewer, worker):
    Saga.objects.create(definition="orders.place_order", version=1, key=uuid7(), correlation_id=uuid7())
    Saga.objects.create(
        definition="orders.place_order", version=1, key=uuid7(), correlation_id=uuid7(), status="compensation_stuck"
    )
    pulse = take_pulse()
    assert [(saga.name, saga.word, saga.count) for saga in pulse.sagas] == [
        ("Place order", "Stuck compensating", 1),
        ("Place order", "Running", 1),
    ]
    assert pulse.attention == 1


def test_a_saga_that_is_stuck_because_of_a_dead_letter_counts_once(viewer, shop, worker):
    shop.placed()
    shop.placed()
    Saga.objects.update(status="forward_stuck")
    delivery = Delivery.objects.filter(consumer="payments.create_intent").first()
    Delivery.objects.filter(id=delivery.id).update(state="dead", attempts=1, died_at=timezone.now())
    pulse = take_pulse()
    assert (pulse.dead, pulse.stuck, pulse.attention) == (1, 2, 2)


def test_what_was_done_and_failed_comes_from_the_rollups(viewer, worker):
    tally("payments.capture", "le_10", 90, minutes_ago=3)
    tally("payments.capture", "le_500", 10, minutes_ago=3)
    tally("payments.capture", "failed", 4, minutes_ago=2)
    tally("payments.capture", "le_10", 7, minutes_ago=70)
    pulse = take_pulse()
    assert [(queue.consumer, queue.done, queue.failed) for queue in pulse.queues] == [("payments.capture", 100, 4)]
    assert pulse.latency_chart.rest == "Half within 10 ms, 95 of 100 within 500 ms."


def test_a_worker_that_is_silent_is_called_lost(viewer, worker):
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=60))
    assert [state.word for state in take_pulse().workers] == ["Silent"]


def test_the_page_costs_the_same_number_of_statements_whatever_there_is(
    viewer, shop, worker, django_assert_max_num_queries
):
    for _ in range(5):
        shop.placed()
    page(viewer)
    with django_assert_max_num_queries(24):
        page(viewer)


def test_the_page_is_small(viewer, shop, worker):
    shop.placed()
    assert len(viewer.get("/staff/").content) < 100_000
