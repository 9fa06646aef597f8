"""What happened to an order's goods. Messages carry ids and amounts, never addresses or names."""

from uuid import UUID

from outbox.contracts import Event, contract


@contract("fulfillment.backorder_filled", version=1, owner="fulfillment", aggregate="order", key="order_id")
class BackorderFilled(Event, frozen=True, kw_only=True):
    """Everything the order waited for came into stock and is reserved for it."""

    order_id: UUID


@contract("fulfillment.stock_allocated", version=1, owner="fulfillment", aggregate="order", key="order_id")
class StockAllocated(Event, frozen=True, kw_only=True):
    """The order's reservations are firm."""

    order_id: UUID


@contract("fulfillment.stock_allocation_failed", version=1, owner="fulfillment", aggregate="order", key="order_id")
class StockAllocationFailed(Event, frozen=True, kw_only=True):
    """The order's reservations were given back before they could be made firm."""

    order_id: UUID
    code: str
    reason: str


@contract("fulfillment.stock_released", version=1, owner="fulfillment", aggregate="order", key="order_id")
class StockReleased(Event, frozen=True, kw_only=True):
    """The order holds no stock any more."""

    order_id: UUID


@contract("fulfillment.shipments_booked", version=1, owner="fulfillment", aggregate="order", key="order_id")
class ShipmentsBooked(Event, frozen=True, kw_only=True):
    """Every parcel of the order has a label."""

    order_id: UUID
    shipments: int
    """How many parcels."""


@contract("fulfillment.shipment_booking_failed", version=1, owner="fulfillment", aggregate="order", key="order_id")
class ShipmentBookingFailed(Event, frozen=True, kw_only=True):
    """The carrier refuses a parcel for good; its siblings wait to be cancelled."""

    order_id: UUID
    code: str
    """The carrier's code, such as `undeliverable_address`, or `shipments_cancelled`."""
    reason: str
    """A sentence that the customer may read."""


@contract("fulfillment.shipments_cancelled", version=1, owner="fulfillment", aggregate="order", key="order_id")
class ShipmentsCancelled(Event, frozen=True, kw_only=True):
    """No parcel of the order will leave."""

    order_id: UUID


@contract(
    "fulfillment.shipment_cancellation_refused", version=1, owner="fulfillment", aggregate="order", key="order_id"
)
class ShipmentCancellationRefused(Event, frozen=True, kw_only=True):
    """A parcel has left already; those taken back meanwhile were booked again, so that all of the order arrives."""

    order_id: UUID
    reason: str


@contract("fulfillment.shipment_handed_over", version=1, owner="fulfillment", aggregate="shipment", key="shipment_id")
class ShipmentHandedOver(Event, frozen=True, kw_only=True):
    """The carrier has collected a parcel."""

    shipment_id: UUID
    order_id: UUID
    first: bool
    """It is the first parcel of the order to leave."""
    last: bool
    """Nothing of the order is left to hand over."""


@contract("fulfillment.shipment_delivered", version=1, owner="fulfillment", aggregate="shipment", key="shipment_id")
class ShipmentDelivered(Event, frozen=True, kw_only=True):
    """A parcel has arrived."""

    shipment_id: UUID
    order_id: UUID
    last: bool
    """Everything of the order has arrived."""


@contract("fulfillment.shipment_exception", version=1, owner="fulfillment", aggregate="shipment", key="shipment_id")
class ShipmentException(Event, frozen=True, kw_only=True):
    """The carrier reports trouble with a parcel that it holds."""

    shipment_id: UUID
    order_id: UUID
    status: str
    """`exception`, `lost` or `returned`."""


@contract("fulfillment.return_requested", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnRequested(Event, frozen=True, kw_only=True):
    """The customer wants to send goods back."""

    return_id: UUID
    order_id: UUID
    pieces: int
    """How many pieces, all products together."""


@contract("fulfillment.return_approved", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnApproved(Event, frozen=True, kw_only=True):
    """The customer may send the goods."""

    return_id: UUID
    order_id: UUID


@contract("fulfillment.return_rejected", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnRejected(Event, frozen=True, kw_only=True):
    """Nothing of the return is paid back."""

    return_id: UUID
    order_id: UUID
    code: str
    reason: str
    """A sentence that the customer may read."""


@contract("fulfillment.return_received", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnReceived(Event, frozen=True, kw_only=True):
    """The goods have arrived at a warehouse."""

    return_id: UUID
    order_id: UUID
    warehouse: str
    """Its code."""


@contract("fulfillment.return_inspected", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnInspected(Event, frozen=True, kw_only=True):
    """A person has looked at the goods; what is sellable is back on the shelf."""

    return_id: UUID
    order_id: UUID
    accepted: int
    """How many pieces are paid back; at least one."""
    whole: bool
    """With this return everything of the order has come back."""


@contract("fulfillment.return_closed", version=1, owner="fulfillment", aggregate="return", key="return_id")
class ReturnClosed(Event, frozen=True, kw_only=True):
    """The goods are back and their price is paid back."""

    return_id: UUID
    order_id: UUID
