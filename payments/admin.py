"""Payments for operators' eyes: nothing here can be changed by hand."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from payments.models import Payment, PaymentOperation, ProviderEvent


class ReadOnly:
    """Shows rows; adds, changes and deletes none."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False


class OperationInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    model = PaymentOperation
    fields = (
        "kind",
        "status",
        "amount",
        "settled_amount",
        "provider_reference",
        "idempotency_key",
        "error_code",
        "error",
        "requested_at",
        "settled_at",
    )
    extra = 0


@admin.register(Payment)
class PaymentAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    list_display = ("id", "status", "amount", "currency", "captured_amount", "refunded_amount", "created_at")
    list_filter = ("status", "currency")
    search_fields = ("=id", "=order_id", "=provider_reference")
    inlines = (OperationInline,)
    show_full_result_count = False


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    list_display = ("event_id", "type", "reference", "payment", "received_at")
    list_filter = ("type",)
    search_fields = ("=event_id", "=reference")
    list_select_related = ("payment",)
    show_full_result_count = False
