"""Customers, the catalogue and orders for operators' eyes: changes go through the staff pages and the commands.

Whether a product may be ordered beyond what is in stock is decided here, too.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline

from orders.api_keys import revoke_keys
from orders.customers import allow_backorders
from orders.models import ApiKey, Customer, Order, OrderLine, Product, ProductPrice, TaxClass
from orders.public_ids import ORDER, public_id
from outbox import audit
from outbox.admin.base import ReasonedActionForm, parse_id
from outbox.admin.subjects import Subject, names_subject
from outbox.context import scope
from outbox.errors import IllegalOperation
from outbox.publishing import unit_of_work


@names_subject
def order_of(payload: Mapping[str, Any]) -> Subject | None:
    """Return the order that a message names in its payload."""
    order_id = parse_id(str(payload.get("order_id", "")))
    if order_id is None:
        return None
    name = public_id(ORDER, order_id)
    return Subject("Order", name, reverse("staff:order", args=[name]))


class ReadOnly:
    """Shows rows; adds, changes and deletes none."""

    extra = 0
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody may."""
        return False


class ApiKeyInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """A customer's keys, without what could be tried against them."""

    model = ApiKey
    fields = ("name", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    readonly_fields = fields


@admin.register(Customer)
class CustomerAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Customers and their keys."""

    list_display = ("name", "email", "public_id", "created_at")
    search_fields = ("name", "email", "=id")
    inlines = (ApiKeyInline,)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """API keys, without what could be tried against them; those that leaked are revoked here."""

    list_display = ("prefix", "customer", "name", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("customer",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("=prefix", "customer__name")
    exclude = ("secret_hash",)
    action_form = ReasonedActionForm
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may revoke keys."""
        return request.user.has_perm("orders.change_apikey")

    @admin.action(permissions=["revoke"], description="Revoke the selected")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """They are refused from their next request on; that cannot be undone."""
        try:
            reason = audit.require_reason(request.POST.get("reason", ""))
        except IllegalOperation as error:
            messages.error(request, f"Nothing was changed. {error}")
            return
        with scope(actor=f"staff:{request.user.get_username()}"), unit_of_work():
            revoked = revoke_keys(key_ids=list(queryset.values_list("id", flat=True)), reason=reason)
        names = ", ".join(f"{key.prefix}…" for key in revoked)
        messages.success(request, f"{names or 'Nothing'} revoked: refused from the next request on.")


class PriceInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """A product's prices."""

    model = ProductPrice


@admin.register(Product)
class ProductAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """The catalogue."""

    list_display = ("sku", "name", "category", "tax_class", "weight_grams", "active", "backorder")
    list_filter = ("category", "tax_class", "active", "backorder")
    list_select_related = ("tax_class",)
    search_fields = ("sku", "name")
    inlines = (PriceInline,)
    action_form = ReasonedActionForm
    actions = ("allow", "stop")

    def has_mark_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may say which products may be waited for."""
        return request.user.has_perm("orders.change_product")

    @admin.action(permissions=["mark"], description="Let the selected be ordered beyond stock")
    def allow(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Orders for more than is there wait from now on."""
        self._mark(request, queryset, allowed=True)

    @admin.action(permissions=["mark"], description="Let the selected be ordered up to stock only")
    def stop(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Orders for more than is there are refused from now on."""
        self._mark(request, queryset, allowed=False)

    def _mark(self, request: HttpRequest, queryset: QuerySet[Product], *, allowed: bool) -> None:
        skus = list(queryset.values_list("sku", flat=True))
        try:
            reason = audit.require_reason(request.POST.get("reason", ""))
        except IllegalOperation as error:
            messages.error(request, f"Nothing was changed. {error}")
            return
        with scope(actor=f"staff:{request.user.get_username()}"), unit_of_work():
            changed = allow_backorders(skus=skus, allowed=allowed, reason=reason)
        how = "beyond what is in stock" if allowed else "up to what is in stock only"
        messages.success(request, f"{', '.join(changed) or 'Nothing'} changed: ordered {how} from now on.")


@admin.register(TaxClass)
class TaxClassAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rates of tax."""

    list_display = ("code", "name", "rate")


class LineInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold ships no types
    """What was ordered."""

    model = OrderLine
    fields = ("position", "sku", "name", "quantity", "unit_price", "total", "tax_rate", "weight_grams")


@admin.register(Order)
class OrderAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Orders as rows; their story is on the staff pages."""

    list_display = ("public_id", "status", "payment_status", "fulfillment_status", "total", "currency", "placed_at")
    list_filter = ("status", "payment_status", "fulfillment_status", "route", "currency")
    search_fields = ("=id", "=reference", "=correlation_id")
    inlines = (LineInline,)
