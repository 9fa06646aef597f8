"""How an order moves on after it was placed: called by handlers and sagas, in their unit of work.

Every function locks the order first, is a no-op when the order is where it should be already, and raises
IllegalTransition when there is no way from where it is.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from orders.events import (
    OrderCancellationRefused,
    OrderCancelled,
    OrderCancelling,
    OrderCompleted,
    OrderConfirmed,
    OrderHeld,
    OrderRejected,
    OrderResumed,
)
from orders.models import Order
from orders.states import COURSE_OF_GOODS, FulfillmentStatus, OrderStatus, PaymentStatus
from outbox.contracts import Event
from outbox.publishing import publish, require_unit_of_work

Clock = Callable[[], datetime]


def _move(order_id: UUID, status: OrderStatus, event: Event, clock: Clock, **changes: str) -> Order:
    order = Order.objects.select_for_update(of=("self",)).get(id=order_id)
    if order.status == status:
        return order
    order.enter(status)
    order.updated_at = clock()
    for name, value in changes.items():
        setattr(order, name, value)
    order.save(update_fields=["previous_status", "status", "updated_at", *changes])
    publish(event)
    return order


def lock_order(order_id: UUID) -> None:
    """Lock the order's row, which comes first in the order of locks."""
    Order.objects.select_for_update(of=("self",)).filter(id=order_id).first()


@require_unit_of_work
def confirm_order(*, order_id: UUID, clock: Clock = timezone.now) -> Order:
    """The money is held and the stock allocated."""
    return _move(order_id, OrderStatus.CONFIRMED, OrderConfirmed(order_id=order_id), clock)


@require_unit_of_work
def complete_order(*, order_id: UUID, clock: Clock = timezone.now) -> Order:
    """Every parcel is handed over and the money captured."""
    return _move(order_id, OrderStatus.COMPLETED, OrderCompleted(order_id=order_id), clock)


@require_unit_of_work
def reject_order(*, order_id: UUID, code: str, reason: str, clock: Clock = timezone.now) -> Order:
    """The order cannot be carried out, such as after a declined payment; `reason` is shown to the customer."""
    event = OrderRejected(order_id=order_id, code=code, reason=reason)
    return _move(order_id, OrderStatus.REJECTED, event, clock, reason_code=code, reason=reason)


@require_unit_of_work
def begin_cancelling(*, order_id: UUID, code: str, reason: str, clock: Clock = timezone.now) -> Order:
    """The order fails on its way, such as at the carrier: undoing begins. `reason` is shown to the customer."""
    event = OrderCancelling(order_id=order_id, code=code)
    return _move(order_id, OrderStatus.CANCELLING, event, clock, reason_code=code, reason=reason)


@require_unit_of_work
def finish_cancelling(*, order_id: UUID, clock: Clock = timezone.now) -> Order:
    """Everything is undone."""
    order = Order.objects.only("reason_code").get(id=order_id)
    event = OrderCancelled(order_id=order_id, code=order.reason_code)
    return _move(order_id, OrderStatus.CANCELLED, event, clock)


@require_unit_of_work
def refuse_cancellation(*, order_id: UUID, code: str, reason: str, clock: Clock = timezone.now) -> Order:
    """The order goes on where it was before; `reason` is shown to the customer."""
    order = Order.objects.select_for_update(of=("self",)).get(id=order_id)
    if order.status != OrderStatus.CANCELLING:
        return order
    event = OrderCancellationRefused(order_id=order_id, code=code)
    return _move(order_id, OrderStatus(order.previous_status), event, clock, reason_code=code, reason=reason)


@require_unit_of_work
def hold_order(*, order_id: UUID, code: str, reason: str, clock: Clock = timezone.now) -> Order:
    """The order waits for a person, such as for a review; `reason` is shown to the customer."""
    event = OrderHeld(order_id=order_id, code=code)
    return _move(order_id, OrderStatus.ON_HOLD, event, clock, reason_code=code, reason=reason)


@require_unit_of_work
def resume_order(*, order_id: UUID, clock: Clock = timezone.now) -> Order:
    """The held order goes on where it was before."""
    order = Order.objects.select_for_update(of=("self",)).get(id=order_id)
    if order.status != OrderStatus.ON_HOLD:
        return order
    event = OrderResumed(order_id=order_id)
    return _move(order_id, OrderStatus(order.previous_status), event, clock, reason_code="", reason="")


@require_unit_of_work
def follow_payment(*, order_id: UUID, status: PaymentStatus, clock: Clock = timezone.now) -> None:
    """Show where the money is by now."""
    Order.objects.filter(id=order_id).exclude(payment_status=status).update(payment_status=status, updated_at=clock())


@require_unit_of_work
def follow_fulfillment(*, order_id: UUID, status: FulfillmentStatus, clock: Clock = timezone.now) -> None:
    """Show where the goods are by now. News of an earlier state changes nothing: events may arrive in another order."""
    earlier = COURSE_OF_GOODS[: COURSE_OF_GOODS.index(status)]
    Order.objects.filter(id=order_id, fulfillment_status__in=earlier).update(
        fulfillment_status=status, updated_at=clock()
    )
