"""The process of an order, as sagas to be read aloud: placed, cancelled, sent back. Pure: imports no Django."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from fulfillment.commands import AllocateStock, BookShipments, CancelShipments, ReleaseStock
from fulfillment.events import (
    BackorderFilled,
    ReturnApproved,
    ReturnInspected,
    ReturnReceived,
    ReturnRejected,
    ShipmentBookingFailed,
    ShipmentCancellationRefused,
    ShipmentHandedOver,
    ShipmentsBooked,
    ShipmentsCancelled,
    StockAllocated,
    StockAllocationFailed,
    StockReleased,
)
from orders.events import ReviewPassed, ReviewRefused
from outbox.sagas.definition import Compensation, Data, Reply, Saga, Step
from payments.commands import AuthorisePayment, CapturePayment, GrantRefund, RefundPayment, VoidPayment
from payments.events import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentExpired,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentVoided,
    RefundGranted,
)


def _order(data: Data) -> UUID:
    return UUID(data["order_id"])


def _payment(data: Data) -> UUID:
    return UUID(data["payment_id"])


def _release_stock(data: Data) -> ReleaseStock:
    return ReleaseStock(order_id=_order(data), reason=data["reason"])


def _void_payment(data: Data) -> VoidPayment:
    return VoidPayment(payment_id=_payment(data), order_id=_order(data), reason=data["reason"])


def _cancel_shipments(data: Data) -> CancelShipments:
    return CancelShipments(order_id=_order(data), reason=data["reason"])


AUTHORISATION_LASTS = timedelta(days=6)
"""How long an authorised amount can be relied on: card issuers hold it for seven days, and the last one is left for
packing and collection."""
REVIEW_WITHIN = timedelta(hours=72)


def way(*, route: str, backordered: bool) -> Data:
    """Return the part of an instance's data that decides which steps it takes."""
    return {"route": route, "backordered": backordered}


PLACE_ORDER = Saga(
    "orders.place_order",
    version=2,
    key="order_id",
    steps=(
        Step(
            "reserve_stock",
            label="Reserve stock",
            awaiting="stock",
            compensation=Compensation(_release_stock, Reply(StockReleased)),
        ),
        Step(
            "authorise_payment",
            label="Authorise payment",
            awaiting="payment authorisation",
            command=lambda data: AuthorisePayment(payment_id=_payment(data), order_id=_order(data)),
            success=Reply(PaymentAuthorised),
            failure=Reply(PaymentDeclined),
            compensation=Compensation(_void_payment, Reply(PaymentVoided)),
            undo_on_failure=False,
            # A provider that is down is waited for; a customer who must act has less time (orders/process.py).
            deadline=timedelta(hours=24),
        ),
        Step(
            "review",
            label="Review by our staff",
            awaiting="a decision by our staff",
            success=Reply(ReviewPassed),
            failure=Reply(ReviewRefused),
            undo_on_failure=False,
            when=lambda data: bool(data.get("route") == "review"),
            deadline=REVIEW_WITHIN,
        ),
        Step(
            "await_stock",
            label="Wait for stock",
            awaiting="stock",
            success=Reply(BackorderFilled),
            failure=Reply(PaymentExpired),
            when=lambda data: bool(data.get("backordered")),
            # The money is held meanwhile; after a review less of that time is left (orders/process.py).
            deadline=AUTHORISATION_LASTS,
            overdue="The goods did not come into stock in time. Nothing is charged.",
        ),
        Step(
            "allocate_stock",
            label="Allocate stock",
            awaiting="allocation of the reserved stock",
            command=lambda data: AllocateStock(order_id=_order(data)),
            success=Reply(StockAllocated),
            failure=Reply(StockAllocationFailed),
            deadline=timedelta(hours=24),
        ),
        Step(
            "book_shipments",
            label="Book shipment",
            awaiting="labels from the carrier",
            command=lambda data: BookShipments(order_id=_order(data)),
            success=Reply(ShipmentsBooked),
            failure=Reply(ShipmentBookingFailed),
            compensation=Compensation(
                _cancel_shipments, Reply(ShipmentsCancelled), failure=Reply(ShipmentCancellationRefused)
            ),
            deadline=timedelta(hours=24),
        ),
        Step(
            "hand_over",
            label="Hand over to the carrier",
            awaiting="collection by the carrier",
            success=Reply(ShipmentHandedOver),
            deadline=timedelta(days=7),
            pivot=True,
        ),
        Step(
            "capture_payment",
            label="Capture payment",
            awaiting="payment capture",
            command=lambda data: CapturePayment(payment_id=_payment(data), order_id=_order(data)),
            success=Reply(PaymentCaptured),
            failure=Reply(PaymentCaptureFailed),
            deadline=timedelta(hours=24),
        ),
        Step(
            "complete",
            label="Hand over every parcel",
            awaiting="collection of the last parcel",
            success=Reply(ShipmentHandedOver, when=lambda event: event.last),
            deadline=timedelta(days=7),
        ),
    ),
)

PLACE_ORDER_1 = replace(
    PLACE_ORDER, version=1, steps=tuple(step for step in PLACE_ORDER.steps if step.name != "await_stock")
)
"""For orders that were under way before an order could wait for stock: an instance stands at the number of a step, and
one put in between moves those after it."""

CANCEL_ORDER = Saga(
    "orders.cancel_order",
    version=1,
    key="order_id",
    steps=(
        Step(
            "cancel_shipments",
            label="Take parcels back",
            awaiting="the carrier's answer on the parcels",
            command=_cancel_shipments,
            success=Reply(ShipmentsCancelled),
            failure=Reply(ShipmentCancellationRefused),
            deadline=timedelta(hours=24),
            pivot=True,
        ),
        Step(
            "void_payment",
            label="Release the money",
            awaiting="release of the money",
            command=_void_payment,
            success=Reply(PaymentVoided),
            deadline=timedelta(hours=24),
        ),
        Step(
            "release_stock",
            label="Release the stock",
            awaiting="release of the stock",
            command=_release_stock,
            success=Reply(StockReleased),
            deadline=timedelta(hours=24),
        ),
    ),
)


def _refund(data: Data) -> Data:
    """Return what a refund's commands say: the refund has the return's id, so that a return is paid back once."""
    return {
        "refund_id": UUID(data["return_id"]),
        "payment_id": _payment(data),
        "order_id": _order(data),
        "amount": Decimal(data["amount"]),
        "currency": data["currency"],
        "reason": f"ret_{UUID(data['return_id']).hex}",
    }


RETURN_ORDER = Saga(
    "orders.return_order",
    version=1,
    key="return_id",
    steps=(
        Step("request", label="Ask for the return", awaiting="the request"),
        Step(
            "approve",
            label="Approve the return",
            awaiting="a decision by our staff",
            success=Reply(ReturnApproved),
            failure=Reply(ReturnRejected),
            undo_on_failure=False,
            deadline=timedelta(days=14),
            overdue="The time for returns was over, and no exception was made.",
        ),
        Step(
            "receive",
            label="Receive the goods",
            awaiting="arrival of the goods",
            success=Reply(ReturnReceived),
            failure=Reply(ReturnRejected),
            undo_on_failure=False,
            deadline=timedelta(days=30),
            overdue="The goods did not arrive in time.",
        ),
        Step(
            "inspect",
            label="Inspect the goods",
            awaiting="inspection of the goods",
            success=Reply(ReturnInspected),
            failure=Reply(ReturnRejected),
            undo_on_failure=False,
            deadline=timedelta(days=7),
            pivot=True,
        ),
        Step(
            "grant_refund",
            label="Grant the refund",
            awaiting="the refund's amount",
            command=lambda data: GrantRefund(**_refund(data)),
            success=Reply(RefundGranted, key="refund_id"),
            deadline=timedelta(hours=24),
        ),
        Step(
            "refund_payment",
            label="Pay back",
            awaiting="the refund",
            command=lambda data: RefundPayment(**_refund(data)),
            success=Reply(PaymentRefunded, key="refund_id"),
            failure=Reply(PaymentRefundFailed, key="refund_id"),
            deadline=timedelta(hours=24),
        ),
    ),
)
"""One instance per return. Nothing of it is ever undone: before the inspection it ends, after it the money follows."""
