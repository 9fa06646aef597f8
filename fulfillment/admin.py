"""Pages for operators to read. Counts of stock are written down here, or with `manage.py set_stock`."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from fulfillment.errors import FulfillmentError
from fulfillment.models import (
    CarrierCallback,
    Consignment,
    Reservation,
    Return,
    ReturnLine,
    Shipment,
    StockItem,
    StockMovement,
    Warehouse,
)
from fulfillment.services.stock import set_stock
from outbox import audit
from outbox.admin.base import ReasonedActionForm
from outbox.context import scope
from outbox.errors import IllegalOperation
from outbox.publishing import unit_of_work

MOST_DIGITS = 9
"""Of a count: more would not fit into its column."""


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


class CountForm(ReasonedActionForm):
    """Asks beside the action how many pieces were counted, and why."""

    on_hand = forms.CharField(  # a form that is not valid would only be told that no action was chosen
        label="",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget(
            {"placeholder": "Pieces on hand", "aria-label": "Pieces on hand", "min": "0"}
        ),
    )


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    """What is on the shelves."""

    list_display = ("sku", "warehouse", "on_hand", "reserved", "available")
    list_filter = ("warehouse",)
    search_fields = ("sku",)
    action_form = CountForm
    actions = ("write_down",)

    @admin.display(description="Available")
    def available(self, item: StockItem) -> int:
        """How many may still be promised."""
        return item.on_hand - item.reserved

    def has_count_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may write down a count."""
        return request.user.has_perm("fulfillment.change_stockitem")

    @admin.action(permissions=["count"], description="Write down a count of the selected one")
    def write_down(self, request: HttpRequest, queryset: QuerySet[StockItem]) -> None:
        """Set what is on hand of one product in one warehouse; what is more goes to those who wait for it first."""
        try:
            item, on_hand, reason = _counted(request, queryset)
            with scope(actor=f"staff:{request.user.get_username()}"), unit_of_work():
                delta = set_stock(sku=item.sku, warehouse=item.warehouse_id, on_hand=on_hand, reason=reason)
        except (FulfillmentError, IllegalOperation) as error:
            messages.error(request, f"Nothing was changed. {error}")
        else:
            messages.success(request, f"{item}: {on_hand} on hand ({delta:+d}).")


def _counted(request: HttpRequest, queryset: QuerySet[StockItem]) -> tuple[StockItem, int, str]:
    """Return what was counted, how many, and why. Raises IllegalOperation."""
    items = list(queryset[:2])
    if len(items) != 1:
        raise IllegalOperation("Choose one line: each count is one product in one warehouse.")
    pieces = request.POST.get("on_hand", "")
    if not pieces.isdecimal() or len(pieces) > MOST_DIGITS:
        raise IllegalOperation("Say how many pieces are on hand: 0 or more.")
    return items[0], int(pieces), audit.require_reason(request.POST.get("reason", ""))


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


class ReturnLineInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    """What comes back, and what the inspection found."""

    model = ReturnLine
    fields = readonly_fields = ("sku", "quantity", "reason", "sellable", "damaged", "refused")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: customers announce what they send."""
        return False


@admin.register(Return)
class ReturnAdmin(ReadOnlyAdmin):
    """Goods that come back; staff move them on from the staff pages."""

    list_display = ("id", "consignment_id", "status", "late", "warehouse", "created_at")
    list_filter = ("status", "late", "warehouse")
    search_fields = ("id", "consignment__order_id")
    inlines = (ReturnLineInline,)


@admin.register(CarrierCallback)
class CarrierCallbackAdmin(ReadOnlyAdmin):
    """What the carrier reported, as it came."""

    list_display = ("received_at", "report", "shipment_id", "webhook_id")
    list_filter = ("report",)
    search_fields = ("webhook_id", "shipment_id")
