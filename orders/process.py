"""The process manager: starts the order's sagas, and lets the order follow them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from fulfillment import facade as fulfillment
from fulfillment.events import (
    BackorderFilled,
    ReturnInspected,
    ShipmentDelivered,
    ShipmentHandedOver,
    StockAllocated,
    StockReleased,
)
from orders import lifecycle
from orders.events import ReviewPassed
from orders.models import Order
from orders.refunds import refund_for
from orders.sagas import (
    AUTHORISATION_LASTS,
    CANCEL_ORDER,
    PLACE_ORDER,
    PLACE_ORDER_1,
    RETURN_ORDER,
    REVIEW_WITHIN,
    way,
)
from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus
from outbox.consumers import Incoming
from outbox.contracts import Event
from outbox.models import Saga
from outbox.publishing import announce, require_unit_of_work
from outbox.sagas import engine
from payments import facade as payments
from payments.events import PaymentActionRequired

PROGRESS_CHANNEL = "order_progress"
"""Rung with an order's id whenever its progress may have changed."""
FOLLOWER = "orders.follow"
"""The consumer that brings the sagas their replies."""


@require_unit_of_work
def start_place_order(order: Order) -> None:
    """Begin carrying a placed order through."""
    engine.start(PLACE_ORDER, key=order.id, data=_data(order), correlation_id=order.correlation_id)


@require_unit_of_work
def start_cancel_order(order: Order, reason: str) -> None:
    """Freeze the order's way forward and begin undoing it. The order's row is locked, and `cancelling`."""
    if engine.suspend(PLACE_ORDER.name, order.id):
        data = {**_data(order), "reason": reason}
        engine.start(CANCEL_ORDER, key=order.id, data=data, correlation_id=order.correlation_id)
    announce(PROGRESS_CHANNEL, str(order.id))


@require_unit_of_work
def start_return(order: Order, return_id: UUID) -> None:
    """Begin carrying through what a customer sends back."""
    data = {
        "order_id": str(order.id),
        "payment_id": str(order.payment_id),
        "return_id": str(return_id),
        "currency": order.currency,
    }
    engine.start(RETURN_ORDER, key=return_id, data=data, correlation_id=order.correlation_id)


def _data(order: Order) -> dict[str, Any]:
    return {
        "order_id": str(order.id),
        "payment_id": str(order.payment_id),
        **way(route=order.route, backordered=order.fulfillment_status == FulfillmentStatus.BACKORDERED),
    }


@require_unit_of_work
def follow(*, event: Event, message: Incoming) -> None:
    """Let the order show where money and goods are, then move its sagas."""
    order_id: UUID = event.order_id  # type: ignore[attr-defined]  # every event that is followed carries it
    order = Order.objects.select_for_update(of=("self",)).get(id=order_id)
    _follow_money(order, event)
    _follow_goods(order_id, event)
    for definition in (PLACE_ORDER, CANCEL_ORDER, RETURN_ORDER):
        if type(event) in definition.replies():
            engine.handle(definition.name, event, message)
    if isinstance(event, ReviewPassed):
        left = AUTHORISATION_LASTS - REVIEW_WITHIN
        engine.shorten_deadline(PLACE_ORDER.name, order_id, step="await_stock", deadline=left)
    announce(PROGRESS_CHANNEL, str(order_id))


def _follow_money(order: Order, event: Event) -> None:
    """Take the payment's present state, not the event's word: events of one payment may arrive in another order."""
    if not hasattr(event, "payment_id"):
        return
    status = payments.payment(order.payment_id).status
    if status in PaymentStatus.values:
        lifecycle.follow_payment(order_id=order.id, status=PaymentStatus(status))
    if isinstance(event, PaymentActionRequired):
        allowed = timedelta(seconds=settings.RESERVATION_SECONDS)
        engine.shorten_deadline(PLACE_ORDER.name, order.id, step="authorise_payment", deadline=allowed)


def _follow_goods(order_id: UUID, event: Event) -> None:
    status = goods_status(event)
    if status is not None:
        lifecycle.follow_fulfillment(order_id=order_id, status=status)


def goods_status(event: Event) -> FulfillmentStatus | None:
    """Return where the goods are after `event`; None when it says nothing about them."""
    if isinstance(event, BackorderFilled):
        return FulfillmentStatus.RESERVED
    if isinstance(event, StockAllocated):
        return FulfillmentStatus.ALLOCATED
    if isinstance(event, StockReleased):
        return FulfillmentStatus.RELEASED
    if isinstance(event, ShipmentHandedOver):
        return FulfillmentStatus.SHIPPED if event.last else FulfillmentStatus.PARTIALLY_SHIPPED
    if isinstance(event, ShipmentDelivered) and event.last:
        return FulfillmentStatus.DELIVERED
    if isinstance(event, ReturnInspected) and event.whole:
        return FulfillmentStatus.RETURNED
    return None


def observe_place_order(saga: Saga, change: engine.Change) -> None:
    """Move the order along with its saga."""
    if change.step == "review" and change.kind == "step_began":
        lifecycle.hold_order(order_id=saga.key, code="review", reason="We look at large orders before we ship them.")
    elif change.step == "review" and change.kind == "step_done":
        lifecycle.resume_order(order_id=saga.key)
    elif change.kind == "step_done" and change.step == "allocate_stock":
        lifecycle.confirm_order(order_id=saga.key)
    elif change.kind == "compensating" and change.step != "authorise_payment":
        lifecycle.begin_cancelling(order_id=saga.key, code=change.reason_code, reason=change.reason)
    elif change.kind == "completed":
        lifecycle.complete_order(order_id=saga.key)
    elif change.kind == "compensated":
        _undone(saga.key, change)


def _undone(order_id: UUID, change: engine.Change) -> None:
    """Everything is undone: an order whose payment never came about is rejected, any other is cancelled."""
    if Order.objects.only("status").get(id=order_id).status == OrderStatus.PLACED:
        lifecycle.reject_order(order_id=order_id, code=change.reason_code, reason=change.reason)
    else:
        lifecycle.finish_cancelling(order_id=order_id)


def observe_cancel_order(saga: Saga, change: engine.Change) -> None:
    """End a cancellation: the order is cancelled, or goes on because a parcel had left."""
    if change.kind == "completed":
        # The place-order saga's observer ends the order.
        engine.settle_compensated(PLACE_ORDER.name, saga.key, code="cancelled", reason=saga.data["reason"])
    elif change.kind == "compensated":
        lifecycle.refuse_cancellation(order_id=saga.key, code="already_handed_over", reason=change.reason)
        engine.resume(PLACE_ORDER.name, saga.key)


def observe_return(saga: Saga, change: engine.Change) -> None:
    """Move the return along with its saga."""
    if change.kind == "step_done" and change.step == "inspect":
        saga.data = {**saga.data, "amount": str(_amount_of(saga.key))}
    elif change.kind == "step_done" and change.step == "grant_refund":
        fulfillment.note_refund_granted(return_id=saga.key)
    elif change.kind == "completed":
        fulfillment.close_return(return_id=saga.key)
    elif change.kind == "compensated":
        fulfillment.reject_return(return_id=saga.key, code=change.reason_code, reason=change.reason)


def _amount_of(return_id: UUID) -> Decimal:
    """Return what is paid back for a return that was inspected."""
    returned = fulfillment.find_return(return_id)
    assert returned is not None
    order = Order.objects.get(id=returned.order_id)
    amount = refund_for(returned, order.lines.all(), order.currency)
    assert amount is not None
    return amount


def lock_order_of_return(return_id: UUID) -> None:
    """Lock the row of the return's order, which comes first in the order of locks."""
    returned = fulfillment.find_return(return_id)
    if returned is not None:
        lifecycle.lock_order(returned.order_id)


for each in (PLACE_ORDER_1, PLACE_ORDER):
    engine.register(each, observe_place_order, follower=FOLLOWER, lock=lifecycle.lock_order)
engine.register(CANCEL_ORDER, observe_cancel_order, follower=FOLLOWER, lock=lifecycle.lock_order)
engine.register(RETURN_ORDER, observe_return, follower=FOLLOWER, lock=lock_order_of_return)
