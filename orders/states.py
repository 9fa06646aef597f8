"""The states of an order: its life cycle as a machine, money and goods as axes of their own."""

from django.db.models import TextChoices

from outbox.machines import StateMachine


class OrderStatus(TextChoices):
    """Where the order is in its life."""

    PLACED = "placed", "Placed"
    CONFIRMED = "confirmed", "Confirmed"
    COMPLETED = "completed", "Completed"
    REJECTED = "rejected", "Rejected"
    CANCELLING = "cancelling", "Cancelling"
    CANCELLED = "cancelled", "Cancelled"
    ON_HOLD = "on_hold", "On hold"


class PaymentStatus(TextChoices):
    """Where the money is; follows the payment's events."""

    AUTHORISING = "authorising", "Authorising"
    REQUIRES_ACTION = "requires_action", "Requires action"
    AUTHORISED = "authorised", "Authorised"
    CAPTURED = "captured", "Captured"
    PARTIALLY_REFUNDED = "partially_refunded", "Partially refunded"
    REFUNDED = "refunded", "Refunded"
    DECLINED = "declined", "Declined"
    VOIDED = "voided", "Voided"
    EXPIRED = "expired", "Expired"
    UNKNOWN = "unknown", "Unknown"


class FulfillmentStatus(TextChoices):
    """Where the goods are; follows the stock's and the shipments' events."""

    RESERVED = "reserved", "Reserved"
    BACKORDERED = "backordered", "Backordered"
    ALLOCATED = "allocated", "Allocated"
    PARTIALLY_SHIPPED = "partially_shipped", "Partially shipped"
    SHIPPED = "shipped", "Shipped"
    DELIVERED = "delivered", "Delivered"
    RELEASED = "released", "Released"
    RETURNED = "returned", "Returned"


COURSE_OF_GOODS = (
    FulfillmentStatus.BACKORDERED,
    FulfillmentStatus.RESERVED,
    FulfillmentStatus.ALLOCATED,
    FulfillmentStatus.PARTIALLY_SHIPPED,
    FulfillmentStatus.SHIPPED,
    FulfillmentStatus.DELIVERED,
    FulfillmentStatus.RELEASED,
    FulfillmentStatus.RETURNED,
)
"""Goods only move forward along this: nothing is released after it was shipped, or shipped after it was released."""


class Route(TextChoices):
    """Which way an order takes after it was placed (orders/routes.py chooses)."""

    STANDARD = "standard", "Standard"
    REVIEW = "review", "Review"
    BACKORDER = "backorder", "Backorder"


ORDER = StateMachine(
    "order",
    initial="placed",
    transitions={
        "placed": {"confirmed", "rejected", "cancelling", "on_hold"},
        "confirmed": {"completed", "cancelling", "on_hold"},
        "on_hold": {"placed", "confirmed", "cancelling"},
        "cancelling": {"cancelled", "placed", "confirmed"},
    },
    final={"completed", "rejected", "cancelled"},
)
