"""Goods that come back."""

from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from fulfillment.models.base import Noting, Stateful, one_of
from fulfillment.models.goods import Consignment
from fulfillment.models.stock import Warehouse
from fulfillment.states import RETURN, ReturnStatus


class Return(Stateful):
    """Goods of one order that a customer sends back, from the wish to the end."""

    machine = RETURN

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    consignment = models.ForeignKey(
        Consignment, on_delete=models.PROTECT, to_field="order_id", db_column="order_id", related_name="returns"
    )
    status = models.CharField(max_length=16, choices=ReturnStatus.choices, db_default=ReturnStatus.REQUESTED)
    late = models.BooleanField(db_default=False)
    """The time for returns was over when it was asked for: a person decides."""
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False, null=True)
    """Where the goods arrived; null before."""
    reason_code = models.CharField(max_length=64, db_default="")
    reason = models.CharField(max_length=500, db_default="")
    """Why it was rejected, for the customer."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["status", "-id"], name="fulfillment_return_by_status")]
        constraints = [
            one_of("status", ReturnStatus, "fulfillment_return_status"),
            models.CheckConstraint(
                condition=Q(status__in=[ReturnStatus.REQUESTED, ReturnStatus.APPROVED, ReturnStatus.REJECTED])
                | Q(warehouse__isnull=False),
                name="fulfillment_received_somewhere",
            ),
        ]

    def __str__(self) -> str:
        return f"return of order {self.order_id}"

    @property
    def order_id(self) -> UUID:
        """Return the order's id."""
        order_id: UUID = self.consignment_id
        return order_id


class ReturnLine(Noting):
    """Pieces of one product in a return, and what the inspection found."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    return_of = models.ForeignKey(Return, on_delete=models.PROTECT, related_name="lines", db_column="return_id")
    line_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    quantity = models.PositiveIntegerField()
    reason = models.CharField(max_length=500)
    """Why the customer sends them back, in the customer's words."""
    sellable = models.PositiveIntegerField(null=True)
    """Pieces that went back onto the shelf; null before the inspection."""
    damaged = models.PositiveIntegerField(null=True)
    """Pieces that are paid back, but not sold again; null before the inspection."""
    refused = models.PositiveIntegerField(null=True)
    """Pieces that were not there, or that are not taken back; null before the inspection."""

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["return_of", "line_id"], name="fulfillment_return_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="fulfillment_return_quantity"),
            models.CheckConstraint(
                condition=Q(sellable__isnull=True, damaged__isnull=True, refused__isnull=True)
                | Q(
                    sellable__isnull=False,
                    damaged__isnull=False,
                    refused__isnull=False,
                    quantity=F("sellable") + F("damaged") + F("refused"),
                ),
                name="fulfillment_return_line_adds_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.sku}"

    @property
    def accepted(self) -> int:
        """How many pieces are paid back; 0 before the inspection."""
        return (self.sellable or 0) + (self.damaged or 0)
