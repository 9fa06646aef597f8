"""What customers are shown: one type per object. Pure but for the names of states.

msgspec encodes them, and the OpenAPI document's schemas are made from them.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus
from orders.versions import CURRENT

EXAMPLE_ORDER = "https://tandem.example/api/v1/orders/ord_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what customers are shown."""


class Money(Representation, frozen=True, kw_only=True):
    """An amount of money: a decimal string with the currency's minor digits."""

    amount: Annotated[str, Meta(examples=["25.80"])]
    currency: Annotated[str, Meta(examples=["EUR"])]


class OrderLineObject(Representation, frozen=True, kw_only=True):
    """One product of an order, named and priced as on the day it was placed."""

    sku: str
    name: Annotated[str, Meta(examples=["Earl Grey, 100 g"])]
    quantity: int
    unit_price: Annotated[Money, Meta(examples=[{"amount": "12.90", "currency": "EUR"}])]
    total: Money
    tax_rate: Annotated[str, Meta(description="Tax contained in the price, as a share.", examples=["0.23"])]


class ShippingAddress(Representation, frozen=True, kw_only=True):
    """Where the goods go."""

    name: Annotated[str, Meta(examples=["A. Reader"])]
    line1: Annotated[str, Meta(examples=["1 Quay"])]
    city: Annotated[str, Meta(examples=["Lisbon"])]
    postal_code: Annotated[str, Meta(examples=["1100-148"])]
    country: Annotated[str, Meta(examples=["PT"])]
    line2: Annotated[str | None, Meta(examples=[None])] = None
    region: Annotated[str | None, Meta(examples=[None])] = None


StepState = Literal[
    "pending", "running", "waiting", "done", "failed", "compensating", "compensated", "skipped", "needs_attention"
]
ProgressState = Literal["in_progress", "waiting", "done", "compensating", "compensated", "needs_attention"]


class ProgressStep(Representation, frozen=True, kw_only=True):
    """One step on the order's way."""

    name: Annotated[str, Meta(examples=["authorise_payment"])]
    label: Annotated[str, Meta(examples=["Authorise payment"])]
    status: Annotated[StepState, Meta(examples=["running"])]
    started_at: datetime | None
    finished_at: Annotated[datetime | None, Meta(examples=[None])]
    attempts: Annotated[int, Meta(examples=[1])]


class Delay(Representation, frozen=True, kw_only=True):
    """Why an order takes longer than usual. It goes on by itself."""

    code: Literal["provider_unavailable", "backlog"]
    detail: Annotated[str, Meta(examples=["The payment provider does not answer."])]
    since: datetime


class Progress(Representation, frozen=True, kw_only=True):
    """How far the order is, what it waits for, and when that is tried again."""

    state: Annotated[ProgressState, Meta(examples=["in_progress"])]
    percent: Annotated[int, Meta(ge=0, le=100, examples=[20])]
    awaiting: Annotated[str | None, Meta(examples=["payment authorisation"])]
    next_attempt_at: Annotated[datetime | None, Meta(examples=[None])]
    delay: Annotated[
        Delay | None, Meta(description="What holds the present step up, while something does.", examples=[None])
    ] = None
    steps: list[ProgressStep]


class OrderLinks(Representation, frozen=True, kw_only=True):
    """Where to follow the order."""

    self_: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}"])] = msgspec.field(name="self")
    progress: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/progress"])]
    timeline: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/timeline"])]
    cancellation: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/cancellation"])]
    payments: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/payments"])]
    shipments: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/shipments"])]
    returns: Annotated[str, Meta(examples=[f"{EXAMPLE_ORDER}/returns"])]


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
    metadata: Annotated[dict[str, str], Meta(examples=[{"desk": "3"}])]
    reason_code: Annotated[
        str | None, Meta(description="Why it was rejected, cancelled or held: a stable code.", examples=[None])
    ]
    reason: Annotated[str | None, Meta(description="The same in words.", examples=[None])]
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


class Decline(Representation, frozen=True, kw_only=True):
    """Why a payment was declined."""

    code: Annotated[str, Meta(description="Stable; the provider's.", examples=["insufficient_funds"])]
    reason: Annotated[str, Meta(description="The same in words.", examples=["Your card has insufficient funds."])]


class PaymentObject(Representation, frozen=True, kw_only=True):
    """A payment of an order."""

    id: str
    object: Literal["payment"] = "payment"
    order: str
    status: Annotated[str, Meta(examples=["authorised"])]
    amount: Money
    authorised: Money
    captured: Annotated[Money, Meta(examples=[{"amount": "0.00", "currency": "EUR"}])]
    refunded: Annotated[Money, Meta(examples=[{"amount": "0.00", "currency": "EUR"}])]
    payment_method: Annotated[str, Meta(examples=["pm_card_visa"])]
    decline: Annotated[Decline | None, Meta(description="Why it was declined; null unless it was.", examples=[None])]
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
    status: Annotated[str, Meta(examples=["handed_over"])]
    warehouse: Annotated[str, Meta(examples=["LIS"])]
    tracking_number: Annotated[str | None, Meta(examples=["TRK0001"])]
    lines: list[ParcelLine]
    created_at: datetime


class ShipmentList(Representation, frozen=True, kw_only=True):
    """The shipments of an order."""

    data: list[ShipmentObject]
    next: str | None = None
    previous: str | None = None


class Availability(Representation, frozen=True, kw_only=True):
    """How many can be ordered now."""

    quantity: Annotated[int, Meta(examples=[998])]
    backorder: Annotated[bool, Meta(description="May be ordered beyond what is in stock.")]


class ProductObject(Representation, frozen=True, kw_only=True):
    """A product of the catalogue."""

    id: Annotated[str, Meta(description="The product's SKU.", examples=["TEA-EARL-100"])]
    object: Literal["product"] = "product"
    sku: str
    name: Annotated[str, Meta(examples=["Earl Grey, 100 g"])]
    description: Annotated[str, Meta(examples=["Black tea with bergamot."])]
    category: str
    prices: Annotated[
        list[Money],
        Meta(
            description="For one piece, tax included, one per currency.",
            examples=[[{"amount": "12.90", "currency": "EUR"}]],
        ),
    ]
    price: Annotated[
        Money | None,
        Meta(
            description="The price in EUR, or in the only currency there is.",
            examples=[{"amount": "12.90", "currency": "EUR"}],
        ),
    ]
    tax_rate: Annotated[str, Meta(description="Tax contained in the price, as a share.", examples=["0.23"])]
    weight_grams: Annotated[int, Meta(examples=[120])]
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
    name: Annotated[str, Meta(examples=["Warehouse terminal"])]
    prefix: Annotated[str, Meta(description="How the key begins.", examples=["tdm_q7Fh2LxA"])]
    scopes: Annotated[list[str], Meta(examples=[["orders:read", "orders:write"]])]
    api_version: Annotated[
        str, Meta(description="The version of the API's form that it is answered in.", examples=[CURRENT])
    ]
    rate_limit: Annotated[
        int | None, Meta(description="Requests a second; null where only the account's limit holds.", examples=[None])
    ]
    replaces: Annotated[str | None, Meta(description="The key that it took over from.", examples=[None])]
    version: Annotated[int, Meta(description="Grows with each change; for If-Match.")]
    created_at: datetime
    expires_at: Annotated[
        datetime | None, Meta(description="From when it is refused; null for never.", examples=[None])
    ]
    revoked_at: Annotated[datetime | None, Meta(examples=[None])]
    last_used_at: Annotated[datetime | None, Meta(description="Exact to the minute.")]


class NewApiKeyObject(ApiKeyObject, frozen=True, kw_only=True):
    """An API key that was just made: `key` is shown this once."""

    key: Annotated[
        str,
        Meta(
            description="The key itself. Keep it safe: it cannot be shown again.",
            examples=["tdm_q7Fh2LxA_and_the_rest_of_it"],
        ),
    ]


class ApiKeyList(Representation, frozen=True, kw_only=True):
    """A page of API keys, newest first."""

    data: list[ApiKeyObject]
    next: str | None
    previous: str | None


class AccountObject(Representation, frozen=True, kw_only=True):
    """The caller itself, and the key of this call."""

    id: str
    object: Literal["account"] = "account"
    name: Annotated[str, Meta(examples=["Quay & Sons"])]
    created_at: datetime
    rate_limit: Annotated[int, Meta(description="Requests a second, with all keys together.", examples=[200])]
    api_key: ApiKeyObject


class Fault(Representation, frozen=True, kw_only=True):
    """One thing that is wrong with one field."""

    pointer: Annotated[str, Meta(examples=["/lines/0/quantity"])]
    code: Annotated[str, Meta(examples=["too_small"])]
    detail: Annotated[str, Meta(examples=["This has to be at least 1."])]


class ShortageObject(Representation, frozen=True, kw_only=True):
    """A product of which there is less than was asked for."""

    sku: str
    requested: Annotated[int, Meta(examples=[2])]
    available: Annotated[int, Meta(examples=[1])]


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
    versions: list[str] | UnsetType = UNSET
