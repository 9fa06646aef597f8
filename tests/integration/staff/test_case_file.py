"""An order's page, and cancelling from it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.case_file import case_file
from orders.models import Order
from outbox import operations
from outbox.context import scope
from outbox.models import Attempt, AuditEntry, Breaker, Delivery, Message, Saga
from outbox.publishing import unit_of_work

pytestmark = pytest.mark.requirement("M34", "M45")


@pytest.fixture
def order(shop) -> Order:
    shop.placed(reference="PO-77")
    return Order.objects.get(reference="PO-77")


def page_of(client, order, **query) -> str:
    return client.get(f"/staff/orders/{order.public_id}/", query).content.decode()


def cancel(client, order, **fields):
    form = {"reason": "Ordered the wrong tea", "version": order.version, **fields}
    return client.post(f"/staff/orders/{order.public_id}/cancellation/", form, follow=True)


def test_the_page_tells_who_ordered_what_and_what_is_awaited(viewer, order):
    page = page_of(viewer, order)
    for words in ["Quay &amp; Sons", "PO-77", "Tea-Earl-100", "25.80 EUR", "1100-148 Lisbon", "Waiting for payment"]:
        assert words in page, words
    assert "Asked the payment provider to hold the amount" in page


def test_an_unknown_order_is_not_found(viewer, order):
    assert viewer.get(f"/staff/orders/ord_{'0' * 32}/").status_code == 404
    assert viewer.get("/staff/orders/nonsense/").status_code == 404


def test_the_messages_tab_shows_what_caused_what(viewer, order):
    page = page_of(viewer, order, tab="messages")
    assert "payments.authorise_payment" in page
    assert "orders.order_placed" in page
    assert str(Message.objects.get(name="orders.order_placed").id) in page


def test_a_failed_attempt_is_shown_with_its_traceback(viewer, order):
    message = Message.objects.get(name="payments.authorise_payment")
    Attempt.objects.create(
        message_id=message.id,
        consumer="payments.create_intent",
        number=1,
        kind="transient",
        error_class="Transient",
        error="503 from the provider",
        fingerprint="f",
        traceback="Traceback <module>",
    )
    page = page_of(viewer, order)
    assert "503 from the provider" in page
    assert "Traceback &lt;module&gt;" in page


def test_an_outage_is_told_on_the_order_that_waits_for_it(viewer, order):
    Breaker.objects.create(destination="payments", state="open", consumers=["payments.create_intent"])
    assert "The payment provider does not answer" in page_of(viewer, order)


@pytest.mark.requirement("M13")
def test_a_message_that_was_given_up_leads_to_the_console(viewer, order):
    delivery = Delivery.objects.get(consumer="payments.create_intent")
    Delivery.objects.filter(id=delivery.id).update(
        state="dead", attempts=1, last_error="The provider refuses us", died_at=timezone.now()
    )
    page = page_of(viewer, order)
    assert "“payments.create_intent” gave up after 1 attempt." in page
    ways_out = "Mend the cause, then retry the message in the console; or cancel the order."
    assert f"The provider refuses us. {ways_out}" in page
    assert f"/admin/outbox/deadletter/{delivery.id}/change/" in page


@pytest.mark.requirement("M46")
@pytest.mark.parametrize("verb", [operations.retry_dead_letter, operations.discard_dead_letter])
def test_what_an_operator_did_to_a_dead_letter_is_part_of_the_story(viewer, order, verb):
    delivery = Delivery.objects.get(consumer="payments.create_intent")
    Delivery.objects.filter(id=delivery.id).update(state="dead", attempts=1, died_at=timezone.now())
    Attempt.objects.create(message_id=delivery.message_id, consumer=delivery.consumer, number=1, kind="permanent")
    with scope(actor="staff:ada"), unit_of_work():
        verb(delivery.id, "The card is mended")
    page = page_of(viewer, order)
    assert f"ada: {verb.__name__.replace('_', ' ')}" in page
    assert "The card is mended" in page


def test_the_time_of_an_order_ends_with_its_saga_not_with_what_is_told_later(viewer, order):
    ended = order.placed_at + timedelta(seconds=90)
    Saga.objects.filter(key=order.id).update(status="compensated", finished_at=ended)
    Order.objects.filter(id=order.id).update(status="rejected", updated_at=ended + timedelta(days=2))
    assert case_file(Order.objects.get(id=order.id)).spent.total == 90


def test_a_viewer_sees_why_the_button_is_off(viewer, order):
    page = page_of(viewer, order)
    assert "Your account may look but not change." in page
    assert 'id="cancel"' not in page


def test_a_viewer_cannot_cancel(viewer, order):
    assert cancel(viewer, order).status_code == 403
    order.refresh_from_db()
    assert order.status == "placed"
    assert not AuditEntry.objects.filter(subject=order.public_id).exists()


def test_an_operator_is_told_what_cancelling_will_do(operator, order):
    page = page_of(operator, order)
    assert "The payment is stopped or its hold lifted; nothing is charged." in page
    assert "2 pieces go back into stock." in page


def test_cancelling_takes_a_reason_and_leaves_a_trace(operator, order):
    answer = cancel(operator, order)
    assert "Cancelling began." in answer.content.decode()
    order.refresh_from_db()
    assert (order.status, order.reason) == ("cancelling", "Ordered the wrong tea")
    entry = AuditEntry.objects.get(subject=order.public_id)
    assert (entry.actor, entry.action, entry.subject, entry.reason) == (
        "staff:ada",
        "orders.cancel_order",
        order.public_id,
        "Ordered the wrong tea",
    )
    assert "ada: cancel order" in page_of(operator, order)
    assert "It is being cancelled already." in page_of(operator, order)


@pytest.mark.parametrize("reason", ["", "   ", "no"])
def test_cancelling_without_a_reason_asks_for_one_and_does_nothing(operator, order, reason):
    answer = cancel(operator, order, reason=reason)
    assert answer.status_code == 422
    assert "data-reopen" in answer.content.decode()
    order.refresh_from_db()
    assert order.status == "placed"


@pytest.mark.requirement("M6")
def test_an_order_that_somebody_changed_meanwhile_is_not_cancelled(operator, order):
    Order.objects.filter(id=order.id).update(version=2)
    answer = cancel(operator, order, version=1)
    assert "Somebody changed the order while you were looking." in answer.content.decode()
    order.refresh_from_db()
    assert order.status == "placed"
    assert not AuditEntry.objects.filter(subject=order.public_id).exists()


def test_an_order_that_has_ended_says_why_it_cannot_be_cancelled(operator, order):
    Order.objects.filter(id=order.id).update(status="rejected")
    assert "It was rejected; there is nothing to cancel." in page_of(operator, order)
    assert "Not cancelled." in cancel(operator, order).content.decode()


def test_cancelling_needs_the_forms_token(order, operator):
    operator.handler.enforce_csrf_checks = True
    assert cancel(operator, order).status_code == 403
    order.refresh_from_db()
    assert order.status == "placed"


def test_a_page_costs_a_bounded_number_of_statements(viewer, order, django_assert_max_num_queries):
    with django_assert_max_num_queries(27):
        page_of(viewer, order)
