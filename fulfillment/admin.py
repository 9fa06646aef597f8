"""Read-only pages for operators. Stock changes through `manage.py set_stock`, which keeps the books."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from fulfillment.models import (
    CarrierCallback,
    Consignment,
    Reservation,
    Shipment,
    StockItem,
    StockMovement,
    Warehouse,
)


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rows that change through services only."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows change by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: nothing is forgotten."""
        return False


@admin.register(Warehouse)
class WarehouseAdmin(ReadOnlyAdmin):
    """Where goods leave from."""

    list_display = ("code", "name", "country")


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    """What is on the shelves."""

    list_display = ("sku", "warehouse", "on_hand", "reserved", "available")
    list_filter = ("warehouse",)
    search_fields = ("sku",)

    @admin.display(description="Available")
    def available(self, item: StockItem) -> int:
        """How many may still be promised."""
        return item.on_hand - item.reserved


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnlyAdmin):
    """Why the shelves changed."""

    list_display = ("at", "sku", "warehouse", "delta", "kind", "order_id", "reason", "actor")
    list_filter = ("kind", "warehouse")
    search_fields = ("sku", "order_id")


@admin.register(Consignment)
class ConsignmentAdmin(ReadOnlyAdmin):
    """An order's goods, all parcels together."""

    list_display = ("order_id", "status", "failure_code", "created_at")
    list_filter = ("status",)
    search_fields = ("order_id",)


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """What is promised to whom."""

    list_display = ("consignment_id", "sku", "warehouse", "quantity", "status", "expires_at")
    list_filter = ("status", "warehouse")
    search_fields = ("consignment__order_id", "sku")


@admin.register(Shipment)
class ShipmentAdmin(ReadOnlyAdmin):
    """Parcels and where they are."""

    list_display = ("id", "consignment_id", "warehouse", "status", "tracking_number", "created_at")
    list_filter = ("status", "warehouse")
    search_fields = ("id", "consignment__order_id", "tracking_number", "label_id")


@admin.register(CarrierCallback)
class CarrierCallbackAdmin(ReadOnlyAdmin):
    """What the carrier reported, as it came."""

    list_display = ("received_at", "report", "shipment_id", "webhook_id")
    list_filter = ("report",)
    search_fields = ("webhook_id", "shipment_id")
