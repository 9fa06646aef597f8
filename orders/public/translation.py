"""From internal events to public ones. What is not in the table stays inside."""

from collections.abc import Callable, Mapping
from typing import Any

from fulfillment import events as goods
from orders import events
from orders.models import Order
from orders.public import contracts as public
from orders.public.contracts import PublicData
from orders.public_ids import PAYMENT, RETURN, SHIPMENT, public_id
from orders.representations import Money
from orders.serializers import money
from outbox.contracts import Event
from payments import events as payments

Translate = Callable[[Any, Order], PublicData]
Kind = Callable[..., PublicData]


def _plain(kind: Kind, *names: str) -> Translate:
    """Return a translation that carries the fields `names` over as they are."""
    return lambda event, order: kind(reference=order.reference, **{name: getattr(event, name) for name in names})


def _of_payment(kind: Kind, *names: str) -> Translate:
    def translate(event: Any, order: Order) -> PublicData:
        carried: dict[str, Any] = {name: getattr(event, name) for name in names}
        return kind(reference=order.reference, payment=public_id(PAYMENT, event.payment_id), **carried)

    return translate


def _of_money(kind: Kind) -> Translate:
    def translate(event: Any, order: Order) -> PublicData:
        amount: Money = money(event.amount, event.currency)
        return kind(reference=order.reference, payment=public_id(PAYMENT, event.payment_id), amount=amount)

    return translate


def _of_shipment(kind: Kind, name: str) -> Translate:
    def translate(event: Any, order: Order) -> PublicData:
        shipment = public_id(SHIPMENT, event.shipment_id)
        return kind(reference=order.reference, shipment=shipment, **{name: getattr(event, name)})

    return translate


def _of_return(kind: Kind, *names: str) -> Translate:
    def translate(event: Any, order: Order) -> PublicData:
        carried: dict[str, Any] = {name: getattr(event, name) for name in names}
        return kind(reference=order.reference, return_=public_id(RETURN, event.return_id), **carried)

    return translate


def _placed(event: events.OrderPlaced, order: Order) -> PublicData:
    total = money(event.total, event.currency)
    return public.OrderPlacedData(reference=order.reference, total=total, lines=event.lines)


TRANSLATED: Mapping[type[Event], Translate] = {
    events.OrderPlaced: _placed,
    events.OrderHeld: _plain(public.OrderOnHoldData, "code"),
    events.OrderResumed: _plain(public.OrderResumedData),
    goods.BackorderFilled: _plain(public.OrderStockCompleteData),
    events.OrderConfirmed: _plain(public.OrderConfirmedData),
    events.OrderCompleted: _plain(public.OrderCompletedData),
    events.OrderRejected: _plain(public.OrderRejectedData, "code", "reason"),
    events.OrderCancelling: _plain(public.OrderCancellingData, "code"),
    events.OrderCancelled: _plain(public.OrderCancelledData, "code"),
    events.OrderCancellationRefused: _plain(public.OrderCancellationRefusedData, "code"),
    payments.PaymentActionRequired: _of_payment(public.PaymentActionRequiredData),
    payments.PaymentAuthorised: _of_money(public.PaymentAuthorisedData),
    payments.PaymentDeclined: _of_payment(public.PaymentDeclinedData, "code", "reason"),
    payments.PaymentCaptured: _of_money(public.PaymentCapturedData),
    payments.PaymentVoided: _of_payment(public.PaymentVoidedData),
    payments.PaymentExpired: _of_payment(public.PaymentExpiredData),
    payments.PaymentRefunded: _of_money(public.PaymentRefundedData),
    goods.ShipmentHandedOver: _of_shipment(public.ShipmentHandedOverData, "last"),
    goods.ShipmentDelivered: _of_shipment(public.ShipmentDeliveredData, "last"),
    goods.ShipmentException: _of_shipment(public.ShipmentExceptionData, "status"),
    goods.ReturnRequested: _of_return(public.ReturnRequestedData, "pieces"),
    goods.ReturnApproved: _of_return(public.ReturnApprovedData),
    goods.ReturnRejected: _of_return(public.ReturnRejectedData, "code", "reason"),
    goods.ReturnReceived: _of_return(public.ReturnReceivedData),
    goods.ReturnInspected: _of_return(public.ReturnInspectedData, "accepted"),
    goods.ReturnClosed: _of_return(public.ReturnClosedData),
}
"""Internal event → how it becomes the data of a public one. Every one of them names its order as `order_id`."""


def translate(event: Event, order: Order) -> PublicData:
    """Return what the customer is told of `event`. Raises KeyError for one that stays inside."""
    return TRANSLATED[type(event)](event, order)
