"""Customers, the catalogue and orders for operators' eyes: changes go through the staff pages and the commands."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline

from orders.models import ApiKey, Customer, Order, OrderLine, Product, ProductPrice, TaxClass
from orders.public_ids import ORDER, public_id
from outbox.admin.base import parse_id
from outbox.admin.subjects import Subject, names_subject


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
