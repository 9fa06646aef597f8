"""The public contracts: what an event in a customer's feed or webhook says, by type and version.

They are apart from the internal contracts (events.py of each app), so that these may change as the system does while
customers rely on what they read. The schemas ever published are kept in docs/reference/events; a published version
never changes. The meanings below are shown to customers.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from orders.representations import Money
from outbox.contracts import Contract, Kind, Ordering, Semantics

D = TypeVar("D", bound=type["PublicData"])
PaymentId = Annotated[str, Meta(examples=["pay_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
ShipmentId = Annotated[str, Meta(examples=["shp_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
ReturnId = Annotated[str, Meta(examples=["ret_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
Reference = Annotated[
    str | None, Meta(description="Your own number of the order, if you gave one.", examples=["your-own-number"])
]

PUBLIC: dict[str, Contract] = {}
"""The present version of every type, in the order in which they are explained."""


class PublicData(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what the member `data` of a public event may be."""

    reference: Reference


def public_event(type_: str, *, version: int = 1) -> Callable[[D], D]:
    """Declare the decorated class as the `data` of events of a type."""

    def register(cls: D) -> D:
        assert type_ not in PUBLIC, f"{type_} is declared twice"
        PUBLIC[type_] = Contract(
            type_,
            version,
            Kind.EVENT,
            "orders",
            "order",
            "order",
            cls,  # type: ignore[arg-type]  # it travels in the feed, not in the outbox, so it is no Message
            Semantics.AT_LEAST_ONCE,
            needs_consumer=False,
            ordering=Ordering.PER_AGGREGATE,
        )
        return cls

    return register


def contract_of_data(data: PublicData) -> Contract:
    """Return the contract that `data` was declared with."""
    kind: object = type(data)
    return next(declared for declared in PUBLIC.values() if declared.cls is kind)


def meaning_of(declared: Contract) -> str:
    """Return what an event of this type says, for customers."""
    return " ".join((declared.cls.__doc__ or "").split())


class Coded(PublicData, frozen=True, kw_only=True):
    """Data with a stable code."""

    code: Annotated[str, Meta(description="Stable and machine-readable.", examples=["cancelled"])]


class Explained(Coded, frozen=True, kw_only=True):
    """Data with a code, and the same in words."""

    reason: Annotated[str, Meta(description="The same in words.", examples=["The card was declined."])]


class OfPayment(PublicData, frozen=True, kw_only=True):
    """Data about a payment."""

    payment: PaymentId


class OfMoney(OfPayment, frozen=True, kw_only=True):
    """Data about an amount of a payment."""

    amount: Money


class OfShipment(PublicData, frozen=True, kw_only=True):
    """Data about a parcel."""

    shipment: ShipmentId


@public_event("order.placed")
class OrderPlacedData(PublicData, frozen=True, kw_only=True):
    """The order was placed, and its stock reserved. Always the first event of an order."""

    total: Money
    lines: Annotated[int, Meta(ge=1, description="How many lines it has.")]


@public_event("order.on_hold")
class OrderOnHoldData(Coded, frozen=True, kw_only=True):
    """The order waits for a person's decision, such as a review of its amount."""


@public_event("order.resumed")
class OrderResumedData(PublicData, frozen=True, kw_only=True):
    """The order goes on after it was on hold."""


@public_event("order.stock_complete")
class OrderStockCompleteData(PublicData, frozen=True, kw_only=True):
    """What the order had to wait for came into stock, and is reserved for it."""


@public_event("order.confirmed")
class OrderConfirmedData(PublicData, frozen=True, kw_only=True):
    """The money is held and the goods are set aside: the order will be shipped."""


@public_event("order.completed")
class OrderCompletedData(PublicData, frozen=True, kw_only=True):
    """Every parcel is handed over and the money captured. Deliveries are still told of."""


@public_event("order.rejected")
class OrderRejectedData(Explained, frozen=True, kw_only=True):
    """The order cannot be carried out; nothing is held or taken. Final."""


@public_event("order.cancelling")
class OrderCancellingData(Coded, frozen=True, kw_only=True):
    """Cancelling has begun: shipments, money and stock are being undone."""


@public_event("order.cancelled")
class OrderCancelledData(Coded, frozen=True, kw_only=True):
    """Everything of the order is undone. Final."""


@public_event("order.cancellation_refused")
class OrderCancellationRefusedData(Coded, frozen=True, kw_only=True):
    """The order goes on: a parcel was handed over before it could be stopped."""


@public_event("payment.action_required")
class PaymentActionRequiredData(OfPayment, frozen=True, kw_only=True):
    """The buyer has to do something with their bank before the amount can be held."""


@public_event("payment.authorised")
class PaymentAuthorisedData(OfMoney, frozen=True, kw_only=True):
    """The amount is held and can be captured."""


@public_event("payment.declined")
class PaymentDeclinedData(OfPayment, frozen=True, kw_only=True):
    """The amount will not be held."""

    code: Annotated[str, Meta(description="Stable and machine-readable.", examples=["card_declined"])]
    reason: Annotated[str, Meta(description="The same in words.", examples=["The card was declined."])]


@public_event("payment.captured")
class PaymentCapturedData(OfMoney, frozen=True, kw_only=True):
    """The amount was taken."""


@public_event("payment.voided")
class PaymentVoidedData(OfPayment, frozen=True, kw_only=True):
    """Nothing is held or kept any more."""


@public_event("payment.expired")
class PaymentExpiredData(OfPayment, frozen=True, kw_only=True):
    """The provider let go of the held amount before it was taken."""


@public_event("payment.refunded")
class PaymentRefundedData(OfMoney, frozen=True, kw_only=True):
    """The amount was paid back."""


@public_event("shipment.handed_over")
class ShipmentHandedOverData(OfShipment, frozen=True, kw_only=True):
    """The carrier has collected a parcel."""

    last: Annotated[bool, Meta(description="Nothing of the order is left to hand over.")]


@public_event("shipment.delivered")
class ShipmentDeliveredData(OfShipment, frozen=True, kw_only=True):
    """A parcel has arrived."""

    last: Annotated[bool, Meta(description="Everything of the order has arrived.")]


@public_event("shipment.exception")
class ShipmentExceptionData(OfShipment, frozen=True, kw_only=True):
    """The carrier reports trouble with a parcel that it holds."""

    status: Literal["exception", "lost", "returned"]


class OfReturn(PublicData, frozen=True, kw_only=True):
    """Root of what is said of goods that are sent back; named `return` in JSON."""

    return_: ReturnId = msgspec.field(name="return")


@public_event("return.requested")
class ReturnRequestedData(OfReturn, frozen=True, kw_only=True):
    """You asked to send goods back."""

    pieces: Annotated[int, Meta(description="How many pieces, all products together.")]


@public_event("return.approved")
class ReturnApprovedData(OfReturn, frozen=True, kw_only=True):
    """The goods may be sent."""


@public_event("return.rejected")
class ReturnRejectedData(OfReturn, frozen=True, kw_only=True):
    """Nothing of the return is paid back."""

    code: Annotated[str, Meta(description="Stable and machine-readable.", examples=["nothing_to_refund"])]
    reason: Annotated[str, Meta(description="The same in words.", examples=["None of the goods could be taken back."])]


@public_event("return.received")
class ReturnReceivedData(OfReturn, frozen=True, kw_only=True):
    """The returned goods have arrived."""


@public_event("return.inspected")
class ReturnInspectedData(OfReturn, frozen=True, kw_only=True):
    """The returned goods were inspected; the refund of what is taken back follows."""

    accepted: Annotated[int, Meta(description="How many pieces are paid back.")]


@public_event("return.closed")
class ReturnClosedData(OfReturn, frozen=True, kw_only=True):
    """The goods are back, and paid back."""
