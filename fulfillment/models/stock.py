"""Stock: what is on which shelf, and how it came and went."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from fulfillment.models.base import Noting, one_of
from fulfillment.states import MovementKind


class Warehouse(models.Model):
    """A place that goods leave from."""

    code = models.CharField(max_length=8, primary_key=True)
    name = models.CharField(max_length=80)
    country = models.CharField(max_length=2)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} ({self.name})"


class StockItem(Noting):
    """What one warehouse has of one product; `reserved` of `on_hand` is promised to orders."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sku = models.CharField(max_length=64)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="stock")
    on_hand = models.IntegerField(db_default=0)
    reserved = models.IntegerField(db_default=0)

    class Meta:
        ordering = ["sku", "warehouse"]
        constraints = [
            models.UniqueConstraint(fields=["sku", "warehouse"], name="fulfillment_stock_once"),
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="fulfillment_on_hand_positive"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="fulfillment_reserved_positive"),
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="fulfillment_reserved_on_hand"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} in {self.warehouse_id}"


class StockMovement(models.Model):
    """Goods that came or went. Append-only, kept so by the database; `on_hand` is the sum."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sku = models.CharField(max_length=64)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+")
    delta = models.IntegerField()
    kind = models.CharField(max_length=16, choices=MovementKind.choices)
    order_id = models.UUIDField(null=True)
    shipment_id = models.UUIDField(null=True)
    return_id = models.UUIDField(null=True)
    """What came back, where it did."""
    reason = models.TextField(db_default="")
    actor = models.CharField(max_length=120, db_default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["sku", "warehouse"], name="fulfillment_movement_stock"),
            models.Index(fields=["order_id"], name="fulfillment_movement_order", condition=Q(order_id__isnull=False)),
        ]
        constraints = [
            one_of("kind", MovementKind, "fulfillment_movement_kind"),
            models.CheckConstraint(condition=~Q(delta=0), name="fulfillment_movement_moves"),
            models.CheckConstraint(
                condition=~Q(kind=MovementKind.HAND_OVER)
                | Q(order_id__isnull=False, shipment_id__isnull=False, delta__lt=0),
                name="fulfillment_hand_over_names_its_shipment",
            ),
            models.CheckConstraint(
                condition=~Q(kind=MovementKind.RETURN)
                | Q(order_id__isnull=False, return_id__isnull=False, delta__gt=0),
                name="fulfillment_return_names_itself",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delta:+d} {self.sku} in {self.warehouse_id}"
