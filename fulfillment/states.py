"""The states of reservations, consignments and shipments, and which may follow which."""

from django.db.models import TextChoices

from outbox.machines import StateMachine


class ReservationStatus(TextChoices):
    """How firmly a quantity is promised to an order line."""

    HELD = "held", "Held"
    BACKORDERED = "backordered", "Backordered"
    ALLOCATED = "allocated", "Allocated"
    CONSUMED = "consumed", "Consumed"
    RELEASED = "released", "Released"
    EXPIRED = "expired", "Expired"


RESERVATION = StateMachine(
    "reservation",
    initial="held",
    other_starts=("backordered",),
    transitions={
        "held": {"allocated", "released", "expired"},
        "backordered": {"allocated", "released"},
        "allocated": {"consumed", "released"},
    },
    final={"consumed", "released", "expired"},
)
PROMISED = (ReservationStatus.ALLOCATED, ReservationStatus.CONSUMED)
"""Firm: in a parcel, or to be put into one."""
GIVEN_UP = (ReservationStatus.RELEASED, ReservationStatus.EXPIRED)
"""Over without a parcel."""
HOLDING = (ReservationStatus.HELD, ReservationStatus.ALLOCATED)
"""Reservations that count in a stock item's `reserved`."""


class ConsignmentStatus(TextChoices):
    """How far the goods of one order are, all parcels together."""

    RESERVED = "reserved", "Reserved"
    BACKORDERED = "backordered", "Waiting for stock"
    ALLOCATED = "allocated", "Allocated"
    BOOKING = "booking", "Booking labels"
    BOOKED = "booked", "Ready for the carrier"
    FAILED = "failed", "Refused by the carrier"
    CANCELLING = "cancelling", "Cancelling"
    REBOOKING = "rebooking", "Booking again"
    SHIPPED = "shipped", "Handed over"
    CANCELLED = "cancelled", "Cancelled"
    RELEASED = "released", "Released"


CONSIGNMENT = StateMachine(
    "consignment",
    initial="reserved",
    other_starts=("backordered",),
    transitions={
        "backordered": {"reserved", "cancelled", "released"},
        "reserved": {"allocated", "cancelled", "released"},
        "allocated": {"booking", "cancelled", "released"},
        "booking": {"booked", "failed", "cancelling", "cancelled"},
        "booked": {"shipped", "cancelling"},
        "failed": {"cancelling", "cancelled", "rebooking"},
        "cancelling": {"cancelled", "rebooking", "booked"},
        "rebooking": {"booked", "failed"},
        "cancelled": {"released"},
    },
    final={"shipped", "released"},
)


class ShipmentStatus(TextChoices):
    """Where one parcel is."""

    PLANNED = "planned", "Planned"
    LABEL_PENDING = "label_pending", "Label pending"
    READY = "ready", "Ready"
    HANDED_OVER = "handed_over", "Handed over"
    IN_TRANSIT = "in_transit", "In transit"
    DELIVERED = "delivered", "Delivered"
    EXCEPTION = "exception", "Exception"
    LOST = "lost", "Lost"
    RETURNED = "returned", "Returned"
    VOIDED = "voided", "Voided"
    FAILED = "failed", "Failed"


SHIPMENT = StateMachine(
    "shipment",
    initial="planned",
    transitions={
        "planned": {"label_pending", "voided"},
        "label_pending": {"ready", "failed", "voided"},
        "ready": {"handed_over", "voided"},
        "handed_over": {"in_transit", "delivered", "exception", "lost", "returned"},
        "in_transit": {"delivered", "exception", "lost", "returned"},
        "exception": {"in_transit", "delivered", "lost", "returned"},
    },
    final={"delivered", "lost", "returned", "voided", "failed"},
)
UNBOOKED = (ShipmentStatus.PLANNED, ShipmentStatus.LABEL_PENDING)
"""Whether the carrier will take the parcel is not known yet."""
VOIDABLE = (*UNBOOKED, ShipmentStatus.READY)
"""The parcel has not left: it can still be taken back."""
DEAD = (ShipmentStatus.VOIDED, ShipmentStatus.FAILED)
"""The parcel will never leave; another may take its place."""
GONE = (
    ShipmentStatus.HANDED_OVER,
    ShipmentStatus.IN_TRANSIT,
    ShipmentStatus.DELIVERED,
    ShipmentStatus.EXCEPTION,
    ShipmentStatus.LOST,
    ShipmentStatus.RETURNED,
)
"""The carrier has, or had, the parcel."""


class ReturnStatus(TextChoices):
    """How far goods that come back are."""

    REQUESTED = "requested", "Requested"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    RECEIVED = "received", "Received"
    INSPECTED = "inspected", "Inspected"
    REFUND_GRANTED = "refund_granted", "Refund granted"
    CLOSED = "closed", "Closed"


RETURN = StateMachine(
    "return",
    initial="requested",
    transitions={
        "requested": {"approved", "rejected"},
        # What was approved may never arrive, and what arrives may not be what was sent.
        "approved": {"received", "rejected"},
        "received": {"inspected", "rejected"},
        "inspected": {"refund_granted"},
        "refund_granted": {"closed"},
    },
    final={"closed", "rejected"},
)
RETURNABLE = (
    ShipmentStatus.HANDED_OVER,
    ShipmentStatus.IN_TRANSIT,
    ShipmentStatus.DELIVERED,
    ShipmentStatus.EXCEPTION,
)
"""The customer has the parcel, or may get it still; one that the carrier lost or brought back cannot be returned."""


class MovementKind(TextChoices):
    """Why goods came or went."""

    COUNT = "count", "Counted"
    HAND_OVER = "hand_over", "Handed over"
    RETURN = "return", "Returned"
