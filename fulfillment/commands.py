"""What fulfilment can be asked to do. Messages carry ids and amounts, never addresses or names."""

from datetime import datetime
from uuid import UUID

from outbox.contracts import Command, Semantics, contract


@contract("fulfillment.allocate_stock", version=1, owner="fulfillment", aggregate="order", key="order_id")
class AllocateStock(Command, frozen=True, kw_only=True):
    """Make the order's held reservations firm. Answered by StockAllocated or StockAllocationFailed."""

    order_id: UUID


@contract("fulfillment.check_backorder", version=1, owner="fulfillment", aggregate="order", key="order_id")
class CheckBackorder(Command, frozen=True, kw_only=True):
    """See whether the order still waits for stock. Answered by BackorderFilled, once, when it does not any more."""

    order_id: UUID


@contract("fulfillment.release_stock", version=1, owner="fulfillment", aggregate="order", key="order_id")
class ReleaseStock(Command, frozen=True, kw_only=True):
    """Give back whatever the order still holds, and give it nothing any more. Answered by StockReleased."""

    order_id: UUID
    reason: str


@contract("fulfillment.book_shipments", version=1, owner="fulfillment", aggregate="order", key="order_id")
class BookShipments(Command, frozen=True, kw_only=True):
    """Plan a parcel per warehouse and book a label for each. Answered by ShipmentsBooked or ShipmentBookingFailed."""

    order_id: UUID


@contract("fulfillment.cancel_shipments", version=1, owner="fulfillment", aggregate="order", key="order_id")
class CancelShipments(Command, frozen=True, kw_only=True):
    """Take every parcel back, or none. Answered by ShipmentsCancelled or ShipmentCancellationRefused."""

    order_id: UUID
    reason: str


@contract(
    "fulfillment.book_label",
    version=1,
    owner="fulfillment",
    aggregate="shipment",
    key="shipment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class BookLabel(Command, frozen=True, kw_only=True):
    """Get the carrier's label for one parcel."""

    shipment_id: UUID
    order_id: UUID


@contract(
    "fulfillment.void_label",
    version=1,
    owner="fulfillment",
    aggregate="shipment",
    key="shipment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class VoidLabel(Command, frozen=True, kw_only=True):
    """Make sure that the carrier does not take this parcel, whatever became of its booking."""

    shipment_id: UUID
    order_id: UUID


@contract("fulfillment.follow_parcel", version=1, owner="fulfillment", aggregate="shipment", key="shipment_id")
class FollowParcel(Command, frozen=True, kw_only=True):
    """Apply what the carrier reported about a parcel."""

    shipment_id: UUID
    order_id: UUID
    callback_id: UUID
    """The stored callback."""
    report: str
    """The carrier's word for it, such as `parcel.collected`."""
    sequence: int
    """Counts the carrier's reports of one parcel; a lower number is older news."""
    label_id: str
    tracking_number: str
    occurred_at: datetime
