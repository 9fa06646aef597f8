"""Large orders wait for a person."""

from uuid import UUID, uuid4

import pytest

from orders.errors import OrderNotReviewable, VersionConflict
from orders.models import Order
from orders.process import follow
from orders.public_ids import ORDER, parse_public_id
from orders.services import cancel_order, review_order
from outbox.consumers import Incoming
from outbox.context import scope
from outbox.contracts import contract_named, contract_of
from outbox.models import AuditEntry, Message, Saga, SagaStep
from outbox.publishing import unit_of_work
from payments.events import PaymentAuthorised
from tests.shop import TEA, order_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M1", "M24")]


def hear(event) -> None:
    """Let the order hear an event, as the engine would."""
    name = contract_of(event).name
    message = Incoming(uuid4(), name, 1, uuid4(), None, "", None, 1)
    with unit_of_work():
        follow(event=event, message=message)


@pytest.fixture
def held(shop, settings):
    """An order above the limit whose payment is authorised."""
    settings.REVIEW_ABOVE = "20.00"
    body = shop.place(order_of((TEA, 2))).json()
    order = Order.objects.get(id=parse_public_id(ORDER, body["id"]))
    hear(PaymentAuthorised(payment_id=order.payment_id, order_id=order.id, amount=order.total, currency="EUR"))
    order.refresh_from_db()
    return order


def step(order_id: UUID) -> str:
    return SagaStep.objects.filter(saga__key=order_id, saga__definition="orders.place_order").last().name


def decide(order, *, passed, version=None):
    with scope(actor="staff:ada"), unit_of_work():
        return review_order(
            order_id=order.id, passed=passed, reason="Checked by phone", expected_version=version or order.version
        )


def published() -> list:
    return list(Message.objects.filter(name__startswith="orders.review").values_list("name", flat=True))


def reviewed(order) -> None:
    """Let the order hear what the reviewer decided."""
    row = Message.objects.get(name__startswith="orders.review")
    hear(contract_named(row.name).cls(**{**row.payload, "order_id": UUID(row.payload["order_id"])}))
    order.refresh_from_db()


def test_an_order_above_the_limit_is_held_once_its_money_is(held, shop):
    assert (held.route, held.status, held.reason_code) == ("review", "on_hold", "review")
    assert step(held.id) == "review"
    shown = shop.get(f"orders/{held.public_id}").json()
    assert shown["progress"]["awaiting"] == "a decision by our staff"


def test_an_order_at_the_limit_is_not_reviewed_and_its_progress_does_not_speak_of_it(shop, settings):
    settings.REVIEW_ABOVE = "25.80"
    order = shop.place(order_of((TEA, 2))).json()
    assert "review" not in [s["name"] for s in order["progress"]["steps"]]


def test_a_passed_review_lets_the_order_go_on(held):
    decide(held, passed=True)
    reviewed(held)
    assert (held.status, held.reason_code) == ("placed", "")
    assert step(held.id) == "allocate_stock"
    assert AuditEntry.objects.get(action="review").reason == "Checked by phone"


def test_a_refused_review_undoes_the_order_and_tells_the_customer_why(held):
    decide(held, passed=False)
    reviewed(held)
    assert (held.status, held.reason) == ("cancelling", "Checked by phone")
    saga = Saga.objects.get(key=held.id)
    assert (saga.status, saga.steps.get(name="authorise_payment").status) == ("compensating", "compensating")


def test_a_second_decision_is_refused(held):
    decide(held, passed=True)
    with pytest.raises(VersionConflict):
        decide(held, passed=False)
    reviewed(held)
    with pytest.raises(OrderNotReviewable):
        decide(held, passed=False)
    assert published() == ["orders.review_passed"]


def test_a_held_order_can_be_cancelled(held):
    with unit_of_work():
        cancel_order(within=Order.objects.all(), order_id=held.id, reason="Too slow")
    held.refresh_from_db()
    assert held.status == "cancelling"
    assert Saga.objects.get(key=held.id, definition="orders.place_order").status == "suspended"
