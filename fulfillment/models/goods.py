"""The goods of orders: consignments, reservations, parcels and what the carrier reports of them."""

from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from fulfillment.models.base import Stateful, one_of
from fulfillment.models.stock import Warehouse
from fulfillment.states import (
    CONSIGNMENT,
    DEAD,
    GIVEN_UP,
    GONE,
    PROMISED,
    RESERVATION,
    SHIPMENT,
    UNBOOKED,
    VOIDABLE,
    ConsignmentStatus,
    ReservationStatus,
    ShipmentStatus,
)

PLACES = "fulfillment_reservation_place"
"""The sequence that numbers reservations in the order in which they got hold of their product's stock."""


class Consignment(Stateful):
    """The goods of one order: where they go, and how far all its parcels together are."""

    machine = CONSIGNMENT

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(unique=True)
    status = models.CharField(max_length=16, choices=ConsignmentStatus.choices, db_default=ConsignmentStatus.RESERVED)
    ship_to = models.JSONField()
    cancellation_reason = models.TextField(db_default="")
    failure_code = models.CharField(max_length=64, db_default="")
    failure_reason = models.TextField(db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [one_of("status", ConsignmentStatus, "fulfillment_consignment_status")]

    def __str__(self) -> str:
        return f"goods of order {self.order_id}"

    @staticmethod
    def locked(order_id: UUID) -> "Consignment | None":
        """Return the order's consignment, locked; None when the order never reserved anything.

        Its key stays free to be referred to: whoever brings stock may split what waits, without this lock.
        """
        return Consignment.objects.select_for_update(no_key=True).filter(order_id=order_id).first()


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Reservations as the services ask for them."""

    def held(self) -> Self:
        """Promised for a time."""
        return self.filter(status=ReservationStatus.HELD)

    def backordered(self) -> Self:
        """Waiting for stock, whoever came first to the front."""
        return self.filter(status=ReservationStatus.BACKORDERED).order_by("sku", "place", "id")

    def allocated(self) -> Self:
        """Promised for good, not yet handed over."""
        return self.filter(status=ReservationStatus.ALLOCATED)

    def consumed(self) -> Self:
        """Handed over."""
        return self.filter(status=ReservationStatus.CONSUMED)


class Reservation(Stateful):
    """A quantity in one warehouse that is promised to an order line, or a quantity that the line waits for."""

    machine = RESERVATION

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    consignment = models.ForeignKey(
        Consignment, on_delete=models.PROTECT, to_field="order_id", db_column="order_id", related_name="reservations"
    )
    line_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False, null=True)
    """None while it waits for stock, and after it waited in vain."""
    quantity = models.PositiveIntegerField()
    weight_grams = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=ReservationStatus.choices, db_default=ReservationStatus.HELD)
    expires_at = models.DateTimeField(null=True)
    """Until when a hold is meant to last; its order's saga gives it up, not a timer. None for what was not held."""
    place = models.BigIntegerField(db_default=models.Func(models.Value(PLACES), function="nextval"))
    """The order of arrival at the product, drawn under the lock of its stock: who waits is served by it. A part that
    is split off keeps it."""
    created_at = models.DateTimeField(db_default=Now())

    objects = ReservationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["sku", "warehouse"], name="fulfillment_reservation_stock"),
            models.Index(fields=["expires_at"], name="fulfillment_held_until", condition=Q(status="held")),
            models.Index(fields=["sku", "place"], name="fulfillment_waiting_line", condition=Q(status="backordered")),
        ]
        constraints = [
            one_of("status", ReservationStatus, "fulfillment_reservation_status"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="fulfillment_reservation_quantity"),
            models.CheckConstraint(
                condition=Q(status=ReservationStatus.BACKORDERED, warehouse__isnull=True, expires_at__isnull=True)
                | Q(status=ReservationStatus.HELD, warehouse__isnull=False, expires_at__isnull=False)
                | Q(status__in=PROMISED, warehouse__isnull=False)
                | Q(status__in=GIVEN_UP),
                name="fulfillment_reservation_is_somewhere",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.sku} from {self.shelf or 'what comes'}"

    @property
    def shelf(self) -> str:
        """The code of the warehouse that it is in; empty for what waits."""
        return self.warehouse_id or ""


class ShipmentQuerySet(models.QuerySet["Shipment"]):
    """Shipments as the services ask for them."""

    def live(self) -> Self:
        """Parcels that left or may leave."""
        return self.exclude(status__in=DEAD)

    def of(self, order_id: UUID) -> Self:
        """The order's parcels, oldest first."""
        return self.filter(consignment_id=order_id).order_by("id")


class Shipment(Stateful):
    """One parcel: what an order takes from one warehouse."""

    machine = SHIPMENT

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    consignment = models.ForeignKey(
        Consignment, on_delete=models.PROTECT, to_field="order_id", db_column="order_id", related_name="shipments"
    )
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=16, choices=ShipmentStatus.choices, db_default=ShipmentStatus.PLANNED)
    weight_grams = models.PositiveIntegerField()
    label_requested_at = models.DateTimeField(null=True)
    """Since when the carrier may have a label for the parcel; null while it surely has none."""
    call_started_at = models.DateTimeField(null=True)
    """When the booking call that is under way began; null when none is."""
    label_id = models.CharField(max_length=80, null=True, unique=True)
    tracking_number = models.CharField(max_length=80, db_default="")
    label_url = models.CharField(max_length=500, db_default="")
    void_requested_at = models.DateTimeField(null=True)
    """Since when the parcel is to be taken back: no booking starts after it."""
    failure_code = models.CharField(max_length=64, db_default="")
    failure_reason = models.TextField(db_default="")
    last_report = models.IntegerField(db_default=0)
    """The highest sequence number among the carrier's reports that were applied."""
    created_at = models.DateTimeField(db_default=Now())
    handed_over_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    objects = ShipmentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("status", ShipmentStatus, "fulfillment_shipment_status"),
            models.UniqueConstraint(
                fields=["consignment", "warehouse"],
                condition=~Q(status__in=DEAD),
                name="fulfillment_one_live_shipment",
            ),
        ]

    def __str__(self) -> str:
        return f"parcel of order {self.order_id} from {self.warehouse_id}"

    @property
    def order_id(self) -> UUID:
        """Return the order's id."""
        order_id: UUID = self.consignment_id
        return order_id

    @property
    def unbooked(self) -> bool:
        """Tell whether the carrier's answer to the booking is not known yet."""
        return self.status in UNBOOKED

    @property
    def voidable(self) -> bool:
        """Tell whether the parcel can still be taken back."""
        return self.status in VOIDABLE

    @property
    def gone(self) -> bool:
        """Tell whether the carrier has, or had, the parcel."""
        return self.status in GONE

    @property
    def dead(self) -> bool:
        """Tell whether the parcel will never leave."""
        return self.status in DEAD


class CarrierCallback(models.Model):
    """A callback as the carrier sent it, kept once per id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook_id = models.CharField(max_length=255, unique=True)
    shipment_id = models.UUIDField(db_index=True)
    report = models.CharField(max_length=64)
    body = models.TextField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.report} ({self.webhook_id})"
