"""What happened to an order. Ids and amounts only: never an address, a name or free text of the customer."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from outbox.contracts import Event, contract


def with_placed_at(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 1 did not tell when; the order's id, a UUIDv7, was made then and begins with the milliseconds."""
    milliseconds = UUID(payload["order_id"]).int >> 80
    return {**payload, "placed_at": datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()}


@contract(
    "orders.order_placed",
    version=2,
    owner="orders",
    aggregate="order",
    key="order_id",
    upcasters={1: with_placed_at},
)
class OrderPlaced(Event, frozen=True, kw_only=True):
    """A customer ordered; the stock is reserved and the payment intended."""

    order_id: UUID
    customer_id: UUID
    total: Decimal
    currency: str
    lines: int
    placed_at: Annotated[datetime, Meta(tz=True)]
    """The moment by which the order is counted."""


@contract("orders.order_confirmed", version=1, owner="orders", aggregate="order", key="order_id")
class OrderConfirmed(Event, frozen=True, kw_only=True):
    """The money is held and the stock allocated: the order will be shipped."""

    order_id: UUID


@contract("orders.order_completed", version=1, owner="orders", aggregate="order", key="order_id")
class OrderCompleted(Event, frozen=True, kw_only=True):
    """Every parcel is handed over and the money captured."""

    order_id: UUID


@contract("orders.order_rejected", version=1, owner="orders", aggregate="order", key="order_id")
class OrderRejected(Event, frozen=True, kw_only=True):
    """The order cannot be carried out; nothing is held or taken."""

    order_id: UUID
    code: str
    """Stable and machine-readable, such as `payment_declined`."""
    reason: str
    """A sentence of ours or of the payment provider."""


@contract("orders.order_cancelling", version=1, owner="orders", aggregate="order", key="order_id")
class OrderCancelling(Event, frozen=True, kw_only=True):
    """Cancelling has begun: shipments, money and stock are being undone."""

    order_id: UUID
    code: str


@contract("orders.order_cancelled", version=1, owner="orders", aggregate="order", key="order_id")
class OrderCancelled(Event, frozen=True, kw_only=True):
    """Everything of the order is undone."""

    order_id: UUID
    code: str


@contract("orders.order_cancellation_refused", version=1, owner="orders", aggregate="order", key="order_id")
class OrderCancellationRefused(Event, frozen=True, kw_only=True):
    """The order goes on: a parcel was handed over before it could be stopped."""

    order_id: UUID
    code: str


@contract("orders.order_held", version=1, owner="orders", aggregate="order", key="order_id")
class OrderHeld(Event, frozen=True, kw_only=True):
    """The order waits for a person's decision."""

    order_id: UUID
    code: str


@contract("orders.review_passed", version=1, owner="orders", aggregate="order", key="order_id")
class ReviewPassed(Event, frozen=True, kw_only=True):
    """A person looked at the order and lets it go on."""

    order_id: UUID


@contract("orders.review_refused", version=1, owner="orders", aggregate="order", key="order_id")
class ReviewRefused(Event, frozen=True, kw_only=True):
    """A person looked at the order and stops it."""

    order_id: UUID
    code: str
    reason: str
    """A sentence for the customer."""


@contract("orders.order_resumed", version=1, owner="orders", aggregate="order", key="order_id")
class OrderResumed(Event, frozen=True, kw_only=True):
    """The order goes on after it was held."""

    order_id: UUID
