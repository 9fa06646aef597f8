"""Rows of the orders domain. Only orders/services.py and the management commands write them."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from orders.public_ids import API_KEY, CUSTOMER, EVENT, ORDER, public_id
from orders.states import ORDER as MACHINE
from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus, Route
from orders.versions import FIRST

CURRENCY = r"^[A-Z]{3}$"


def amount_field() -> "models.DecimalField[Any, Any]":
    """Return a column for an amount; three digits hold every currency's minor unit."""
    return models.DecimalField(max_digits=14, decimal_places=3)


class Customer(models.Model):
    """Someone who places orders through the API."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, db_default="")
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a second with all its keys; null for RATE_LIMIT_PER_SECOND."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        """The id as the outside sees it, `cus_…`."""
        return public_id(CUSTOMER, self.id)


class ApiKey(models.Model):
    """A customer's key. Only the shown prefix and a hash are kept; the key itself is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(
        max_length=12, unique=True, help_text="The part that may be shown, tdm_ and 8 characters."
    )
    secret_hash = models.BinaryField(
        max_length=32, help_text="SHA-256 of the whole key: 256 random bits need no slow hash."
    )
    scopes = ArrayField(models.CharField(max_length=40))
    api_version = models.CharField(
        max_length=10,
        db_default=FIRST,
        help_text="The version of the API's form in which it is answered unless the call names another one.",
    )
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a second with this key; null where only the customer's limit holds."
    )
    replaces = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replaced_by",
        db_index=False,
        help_text="The key that it took over from; null for one that was made anew.",
    )
    version = models.PositiveIntegerField(db_default=1, help_text="Grows with each change; for If-Match.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Exact to the minute.")

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(name="api_key_prefix", condition=Q(prefix__regex=r"^tdm_[A-Za-z0-9]{8}$")),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @property
    def public_id(self) -> str:
        """The id as the outside sees it, `key_…`."""
        return public_id(API_KEY, self.id)


class RateBucket(models.Model):
    """Tokens that requests, or wrong keys, are counted against. Unlogged: after a crash every bucket is full."""

    subject = models.CharField(
        max_length=100,
        primary_key=True,
        help_text="What is limited: `customer:…`, `key:…`, `wrong:address:…`, `wrong:prefix:…`.",
    )
    tokens = models.FloatField(help_text="How many there were at `filled_at`.")
    taken = models.IntegerField(help_text="How many the last process got.")
    filled_at = models.DateTimeField(help_text="When tokens were last added and taken, by the database's clock.")

    def __str__(self) -> str:
        return self.subject


class TaxClass(models.Model):
    """A rate of tax that is contained in gross prices."""

    code = models.CharField(max_length=20, primary_key=True)
    name = models.CharField(max_length=60)
    rate = models.DecimalField(max_digits=5, decimal_places=4, help_text="A share: 0.2300 is 23 %.")

    class Meta:
        verbose_name_plural = "tax classes"
        ordering = ["code"]
        constraints = [models.CheckConstraint(name="tax_rate_is_a_share", condition=Q(rate__gte=0) & Q(rate__lt=1))]

    def __str__(self) -> str:
        return f"{self.name} ({self.rate:.0%})"


class Product(models.Model):
    """An article of the catalogue."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sku = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, db_default="")
    category = models.CharField(max_length=40, db_index=True)
    tax_class = models.ForeignKey(TaxClass, on_delete=models.PROTECT, related_name="products")
    weight_grams = models.PositiveIntegerField()
    active = models.BooleanField(db_default=True, help_text="Inactive products cannot be ordered.")
    backorder = models.BooleanField(db_default=False, help_text="May be ordered beyond what is in stock.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["sku"]
        constraints = [
            models.CheckConstraint(name="product_sku", condition=Q(sku__regex=r"^[A-Z0-9][A-Z0-9-]{0,39}$")),
            models.CheckConstraint(name="product_weighs_something", condition=Q(weight_grams__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class ProductPrice(models.Model):
    """What one piece of a product costs in one currency, tax included."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    amount = amount_field()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_price_per_currency", fields=["product", "currency"]),
            models.CheckConstraint(name="price_is_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="price_currency", condition=Q(currency__regex=CURRENCY)),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


# Free of parameters, so that a prepared statement finds the index as well.
ID_ENDING = models.Func(F("id"), template="right(%(expressions)s::text, 8)", output_field=models.TextField())
"""The last eight digits of an order's id, as lists show it."""


class Order(models.Model):
    """What a customer ordered, and how far it is. Lines and prices are frozen when it is placed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    status = models.CharField(max_length=12, choices=OrderStatus.choices, default=OrderStatus.PLACED)
    previous_status = models.CharField(
        max_length=12, blank=True, db_default="", help_text="Where a held or cancelling order goes back to."
    )
    payment_status = models.CharField(max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.AUTHORISING)
    fulfillment_status = models.CharField(
        max_length=20, choices=FulfillmentStatus.choices, default=FulfillmentStatus.RESERVED
    )
    route = models.CharField(max_length=12, choices=Route.choices, default=Route.STANDARD)
    currency = models.CharField(max_length=3)
    total = amount_field()
    shipping_address = models.JSONField()
    payment_method = models.CharField(max_length=120)
    payment_id = models.UUIDField(unique=True, default=uuid7)
    reference = models.CharField(max_length=200, null=True, blank=True, help_text="The customer's own number.")
    metadata = models.JSONField(default=dict, blank=True)
    reason_code = models.CharField(max_length=60, blank=True, db_default="")
    reason = models.CharField(
        max_length=500, blank=True, db_default="", help_text="Why it was rejected, cancelled or held, for the customer."
    )
    version = models.PositiveIntegerField(default=1, db_default=1, help_text="Grows when a person edits the order.")
    correlation_id = models.UUIDField()
    placed_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-placed_at", "-id"]
        indexes = [
            models.Index(name="order_of_customer", fields=["customer", "-placed_at", "-id"]),
            models.Index(name="order_of_customer_by_status", fields=["customer", "status", "-placed_at", "-id"]),
            models.Index(
                name="order_by_reference", fields=["customer", "reference"], condition=Q(reference__isnull=False)
            ),
            models.Index(name="order_newest", fields=["-placed_at", "-id"]),
            models.Index(name="order_newest_by_status", fields=["status", "-placed_at", "-id"]),
            models.Index(name="order_by_correlation", fields=["correlation_id"]),
            models.Index(ID_ENDING, name="order_by_id_ending"),
        ]
        constraints = [
            models.CheckConstraint(name="order_total_is_positive", condition=Q(total__gt=0)),
            models.CheckConstraint(name="order_currency", condition=Q(currency__regex=CURRENCY)),
            models.CheckConstraint(name="order_status", condition=Q(status__in=OrderStatus.values)),
            models.CheckConstraint(name="order_payment_status", condition=Q(payment_status__in=PaymentStatus.values)),
            models.CheckConstraint(
                name="order_fulfillment_status", condition=Q(fulfillment_status__in=FulfillmentStatus.values)
            ),
            models.CheckConstraint(name="order_route", condition=Q(route__in=Route.values)),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id as the outside sees it, `ord_…`."""
        return public_id(ORDER, self.id)

    def enter(self, status: OrderStatus) -> None:
        """Step to `status`, remembering where a held or cancelling order goes back to; the caller saves.

        Raises IllegalTransition.
        """
        MACHINE.check(self.status, status)
        if self.status in (OrderStatus.PLACED, OrderStatus.CONFIRMED):
            self.previous_status = self.status
        self.status = status


class OrderLine(models.Model):
    """One product of an order, as it was named and priced when the order was placed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField(help_text="Counts from 1, in the order the customer gave.")
    sku = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    unit_price = amount_field()
    total = amount_field()
    tax_rate = models.DecimalField(max_digits=5, decimal_places=4)
    weight_grams = models.PositiveIntegerField(help_text="Of one piece.")

    class Meta:
        ordering = ["position"]
        indexes = [models.Index(name="order_line_by_sku", fields=["sku", "order"])]
        constraints = [
            models.UniqueConstraint(name="one_line_per_position", fields=["order", "position"]),
            models.UniqueConstraint(name="one_line_per_sku", fields=["order", "sku"]),
            models.CheckConstraint(name="line_quantity_is_positive", condition=Q(quantity__gt=0)),
            models.CheckConstraint(name="line_total", condition=Q(total=F("unit_price") * F("quantity"))),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku}"


class CustomerFeed(models.Model):
    """Where a customer's feed of events ends. Its row is the lock under which places in the feed are given out."""

    customer = models.OneToOneField(
        Customer,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # a constraint would lock the customer's row with each event
        related_name="feed",
    )
    last_position = models.BigIntegerField(help_text="The place that was given out last.")

    def __str__(self) -> str:
        return f"{self.customer_id} up to {self.last_position}"


class PublicEvent(models.Model):
    """Something that happened to an order, as its customer is told; written once, never changed."""

    id = models.UUIDField(primary_key=True, editable=False, help_text="The internal message that it tells of.")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    order = models.ForeignKey(
        Order,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # a constraint would lock the order's row, which requests and sagas lock
        db_index=False,
        related_name="events",
    )
    type = models.CharField(max_length=60)
    version = models.PositiveSmallIntegerField()
    sequence = models.PositiveIntegerField(help_text="Counts up within the order, without gaps.")
    position = models.BigIntegerField(help_text="Its place in the customer's feed; counts up without gaps.")
    occurred_at = models.DateTimeField()
    data = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(name="event_place_in_feed", fields=["customer", "position"]),
            models.UniqueConstraint(name="event_number_in_order", fields=["order", "sequence"]),
        ]
        indexes = [models.Index(name="event_by_type", fields=["customer", "type", "position"])]

    def __str__(self) -> str:
        return f"{self.type} {self.sequence}"

    @property
    def public_id(self) -> str:
        """The id as the outside sees it, `evt_…`."""
        return public_id(EVENT, self.id)
