"""What customers are shown: one type per object. Pure but for the names of states.

msgspec encodes them, and the OpenAPI document's schemas are made from them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what customers are shown."""


class Money(Representation, frozen=True, kw_only=True):
    """An amount of money: a decimal string with the currency's minor digits."""

    amount: Annotated[str, Meta(examples=["25.80"])]
    currency: Annotated[str, Meta(examples=["EUR"])]


class OrderLineObject(Representation, frozen=True, kw_only=True):
    """One product of an order, named and priced as on the day it was placed."""

    sku: str
    name: str
    quantity: int
    unit_price: Money
    total: Money
    tax_rate: Annotated[str, Meta(description="Tax contained in the price, as a share.", examples=["0.23"])]


class ShippingAddress(Representation, frozen=True, kw_only=True):
    """Where the goods go."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str | None = None
    region: str | None = None


StepState = Literal[
    "pending", "running", "waiting", "done", "failed", "compensating", "compensated", "skipped", "needs_attention"
]
ProgressState = Literal["in_progress", "waiting", "done", "compensating", "compensated", "needs_attention"]


class ProgressStep(Representation, frozen=True, kw_only=True):
    """One step on the order's way."""

    name: Annotated[str, Meta(examples=["authorise_payment"])]
    label: Annotated[str, Meta(examples=["Authorise payment"])]
    status: StepState
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int


class Delay(Representation, frozen=True, kw_only=True):
    """Why an order takes longer than usual. It goes on by itself."""

    code: Literal["provider_unavailable", "backlog"]
    detail: Annotated[str, Meta(examples=["The payment provider does not answer."])]
    since: datetime


class Progress(Representation, frozen=True, kw_only=True):
    """How far the order is, what it waits for, and when that is tried again."""

    state: ProgressState
    percent: Annotated[int, Meta(ge=0, le=100)]
    awaiting: Annotated[str | None, Meta(examples=["payment authorisation"])]
    next_attempt_at: datetime | None
    delay: Annotated[Delay | None, Meta(description="What holds the present step up, while something does.")] = None
    steps: list[ProgressStep]


class OrderLinks(Representation, frozen=True, kw_only=True):
    """Where to follow the order."""

    self_: str = msgspec.field(name="self")
    progress: str
    timeline: str
    cancellation: str
    payments: str
    shipments: str


class OrderObject(Representation, frozen=True, kw_only=True):
    """An order."""

    id: Annotated[str, Meta(examples=["ord_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    object: Literal["order"] = "order"
    status: Annotated[str, Meta(extra_json_schema={"enum": OrderStatus.values})]
    payment_status: Annotated[str, Meta(extra_json_schema={"enum": PaymentStatus.values})]
    fulfillment_status: Annotated[str, Meta(extra_json_schema={"enum": FulfillmentStatus.values})]
    currency: str
    total: Money
    lines: list[OrderLineObject]
    shipping_address: ShippingAddress
    reference: str | None
    metadata: dict[str, str]
    reason_code: Annotated[str | None, Meta(description="Why it was rejected, cancelled or held: a stable code.")]
    reason: Annotated[str | None, Meta(description="The same in words.")]
    version: Annotated[int, Meta(description="Grows when a person edits the order; for If-Match.")]
    placed_at: datetime
    created_at: Annotated[datetime, Meta(description="The same as `placed_at`, as every object has it.")]
    updated_at: datetime
    progress: Progress
    links: OrderLinks


class OrderList(Representation, frozen=True, kw_only=True):
    """A page of orders, newest first."""

    data: list[OrderObject]
    next: str | None
    previous: str | None


class TimelineEntry(Representation, frozen=True, kw_only=True):
    """Something that happened to an order."""

    at: datetime
    type: Annotated[str, Meta(examples=["payment.authorised"])]
    description: Annotated[str, Meta(examples=["The payment was authorised."])]


class Timeline(Representation, frozen=True, kw_only=True):
    """Everything that happened to an order, oldest first."""

    data: list[TimelineEntry]
    next: str | None = None
    previous: str | None = None


class PaymentObject(Representation, frozen=True, kw_only=True):
    """A payment of an order."""

    id: str
    object: Literal["payment"] = "payment"
    order: str
    status: str
    amount: Money
    authorised: Money
    captured: Money
    refunded: Money
    payment_method: str
    decline_code: str | None
    decline_reason: str | None
    created_at: datetime


class PaymentList(Representation, frozen=True, kw_only=True):
    """The payments of an order."""

    data: list[PaymentObject]
    next: str | None = None
    previous: str | None = None


class ParcelLine(Representation, frozen=True, kw_only=True):
    """What is in a parcel."""

    sku: str
    quantity: int


class ShipmentObject(Representation, frozen=True, kw_only=True):
    """A parcel of an order."""

    id: str
    object: Literal["shipment"] = "shipment"
    order: str
    status: str
    warehouse: str
    tracking_number: str | None
    lines: list[ParcelLine]
    created_at: datetime


class ShipmentList(Representation, frozen=True, kw_only=True):
    """The shipments of an order."""

    data: list[ShipmentObject]
    next: str | None = None
    previous: str | None = None


class Availability(Representation, frozen=True, kw_only=True):
    """How many can be ordered now."""

    quantity: int
    backorder: Annotated[bool, Meta(description="May be ordered beyond what is in stock.")]


class ProductObject(Representation, frozen=True, kw_only=True):
    """A product of the catalogue."""

    id: Annotated[str, Meta(description="The product's SKU.", examples=["TEA-EARL-100"])]
    object: Literal["product"] = "product"
    sku: str
    name: str
    description: str
    category: str
    prices: Annotated[list[Money], Meta(description="For one piece, tax included, one per currency.")]
    price: Annotated[Money | None, Meta(description="The price in EUR, or in the only currency there is.")]
    tax_rate: str
    weight_grams: int
    availability: Availability
    created_at: datetime


class ProductList(Representation, frozen=True, kw_only=True):
    """A page of products, by SKU."""

    data: list[ProductObject]
    next: str | None
    previous: str | None


class ApiKeyObject(Representation, frozen=True, kw_only=True):
    """An API key, without its secret."""

    id: Annotated[str, Meta(examples=["key_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: Annotated[str, Meta(description="How the key begins.", examples=["tdm_q7Fh2LxA"])]
    scopes: list[str]
    rate_limit: Annotated[int | None, Meta(description="Requests a second; null where only the account's limit holds.")]
    replaces: Annotated[str | None, Meta(description="The key that it took over from.")]
    version: Annotated[int, Meta(description="Grows with each change; for If-Match.")]
    created_at: datetime
    expires_at: Annotated[datetime | None, Meta(description="From when it is refused; null for never.")]
    revoked_at: datetime | None
    last_used_at: Annotated[datetime | None, Meta(description="Exact to the minute.")]


class NewApiKeyObject(ApiKeyObject, frozen=True, kw_only=True):
    """An API key that was just made: `key` is shown this once."""

    key: Annotated[str, Meta(description="The key itself. Keep it safe: it cannot be shown again.")]


class ApiKeyList(Representation, frozen=True, kw_only=True):
    """A page of API keys, newest first."""

    data: list[ApiKeyObject]
    next: str | None
    previous: str | None


class AccountObject(Representation, frozen=True, kw_only=True):
    """The caller itself, and the key of this call."""

    id: str
    object: Literal["account"] = "account"
    name: str
    created_at: datetime
    rate_limit: Annotated[int, Meta(description="Requests a second, with all keys together.")]
    api_key: ApiKeyObject


class EventObject(Representation, frozen=True, kw_only=True):
    """Something that happened to one of your orders: the same in the feed and in webhooks."""

    id: Annotated[
        str,
        Meta(
            description="The same however often it is delivered: remember it to do nothing twice.",
            examples=["evt_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"],
        ),
    ]
    object: Literal["event"] = "event"
    type: Annotated[str, Meta(examples=["order.placed"])]
    version: Annotated[int, Meta(description="Of the contract of this type, which says what `data` holds.")]
    order: Annotated[str | None, Meta(description="The order; null in a test of a webhook endpoint only.")]
    sequence: Annotated[int | None, Meta(description="Counts up within the order, without gaps. Null in a test only.")]
    occurred_at: datetime
    created_at: Annotated[datetime, Meta(description="When it was written to the feed.")]
    data: Annotated[dict[str, Any], Meta(description="What happened; see the contract of the type.")]


class EventList(Representation, frozen=True, kw_only=True):
    """A page of the feed, oldest first."""

    data: list[EventObject]
    next: Annotated[str | None, Meta(description="The next page; null when there is nothing more yet.")]
    cursor: Annotated[str, Meta(description="The place after the last event shown; resume with it, now or later.")]


class Fault(Representation, frozen=True, kw_only=True):
    """One thing that is wrong with one field."""

    pointer: Annotated[str, Meta(examples=["/lines/0/quantity"])]
    code: Annotated[str, Meta(examples=["too_small"])]
    detail: str


class ShortageObject(Representation, frozen=True, kw_only=True):
    """A product of which there is less than was asked for."""

    sku: str
    requested: int
    available: int


class Problem(Representation, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Meta(description="The page that explains this problem.")]
    title: str
    status: int
    code: Annotated[str, Meta(description="Stable; decide by this one.")]
    detail: str
    instance: str
    correlation_id: str | None
    errors: list[Fault] | UnsetType = UNSET
    shortages: list[ShortageObject] | UnsetType = UNSET
    total: Money | UnsetType = UNSET
