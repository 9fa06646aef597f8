"""What customers may ask for: types with their bounds. Pure; the OpenAPI document is generated from them too."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from orders.public.contracts import PUBLIC
from orders.scopes import SCOPES
from orders.versions import CURRENT, VERSIONS

END = r"(?![\s\S])"
"""The very end of a text; `$` would let a line break pass. The OpenAPI document shows it as `$`."""

LINE_OF_TEXT = r"^[^\x00-\x1F\x7F]+" + END

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}" + END, description="ISO 4217 code.", examples=["EUR"])]
ShortText = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE_OF_TEXT)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of what can be asked; unknown fields are refused."""


class MoneyAmount(Request, frozen=True, kw_only=True):
    """An amount of money: a decimal string with the currency's minor digits."""

    amount: Annotated[str, Meta(pattern=r"^[0-9]{1,11}(\.[0-9]{1,3})?" + END, examples=["25.80"])]
    currency: Currency


class Address(Request, frozen=True, kw_only=True):
    """Where the goods go."""

    name: Annotated[ShortText, Meta(examples=["A. Reader"])]
    line1: Annotated[ShortText, Meta(examples=["1 Quay"])]
    city: Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE_OF_TEXT, examples=["Lisbon"])]
    postal_code: Annotated[str, Meta(min_length=1, max_length=20, pattern=LINE_OF_TEXT, examples=["1100-148"])]
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}" + END, description="ISO 3166-1 alpha-2 code.", examples=["PT"])]
    line2: ShortText | None = None
    region: ShortText | None = None


class LineRequest(Request, frozen=True, kw_only=True):
    """A product and how many of it; each product in one line."""

    sku: Annotated[str, Meta(min_length=1, max_length=40, examples=["TEA-EARL-100"])]
    quantity: Annotated[int, Meta(ge=1, le=10_000, examples=[2])]


class PlaceOrder(Request, frozen=True, kw_only=True):
    """An order to be placed."""

    currency: Currency
    lines: Annotated[tuple[LineRequest, ...], Meta(min_length=1, max_length=100)]
    shipping_address: Address
    payment_method: Annotated[
        str,
        Meta(
            pattern=r"^pm_[A-Za-z0-9_]{1,100}" + END,
            description="The payment provider's id.",
            examples=["pm_card_visa"],
        ),
    ]
    expected_total: Annotated[MoneyAmount | None, Meta(examples=[{"amount": "25.80", "currency": "EUR"}])] = None
    reference: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE_OF_TEXT)] | None, Meta(examples=["PO-4711"])
    ] = None
    metadata: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]],
        Meta(max_length=50, description="Your own notes; up to 50 texts.", examples=[{"desk": "3"}]),
    ] = {}


class CancelOrder(Request, frozen=True, kw_only=True):
    """A wish to cancel."""

    reason: Annotated[
        str, Meta(min_length=1, max_length=500, pattern=LINE_OF_TEXT, examples=["Ordered twice by mistake."])
    ] = "Cancelled by the customer."


class CreateApiKey(Request, frozen=True, kw_only=True):
    """A wish for another API key."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE_OF_TEXT, examples=["Warehouse terminal"])]
    scopes: Annotated[
        tuple[Annotated[str, Meta(max_length=40, extra_json_schema={"enum": list(SCOPES)})], ...],
        Meta(
            min_length=1,
            max_length=40,
            description="What it may do; nothing that your own key may not.",
            examples=[["orders:read", "orders:write"]],
        ),
    ]
    expires_at: (
        Annotated[datetime, Meta(tz=True, description="From when it is refused; not later than your own key.")] | None
    ) = None
    api_version: (
        Annotated[
            str,
            Meta(
                pattern=f"^({'|'.join(VERSIONS)})" + END,
                description="The version of the API's form to pin it to; without it, the newest.",
                examples=[CURRENT],
            ),
        ]
        | None
    ) = None
    rate_limit: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="Requests a second; without it, what the account may.")]
        | None
    ) = None


class RotateApiKey(Request, frozen=True, kw_only=True):
    """A wish for a key that takes over from another one."""

    overlap_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=604_800,
            description="How long the former key goes on to work; a day unless told otherwise.",
            examples=[3_600],
        ),
    ] = 86_400


EventTypes = Annotated[
    tuple[Annotated[str, Meta(max_length=60, extra_json_schema={"enum": ["*", *PUBLIC]})], ...],
    Meta(min_length=1, max_length=50, description="The types that are sent; `*` for all."),
]
WebhookUrl = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2_000,
        pattern=r"^https?://[!-~]+" + END,
        description="A public address over https. Names may be international, as `xn--…`.",
        examples=["https://example.com/hooks/tandem"],
    ),
]
Description = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1F\x7F]*" + END)]


class CreateWebhookEndpoint(Request, frozen=True, kw_only=True):
    """A wish to be told what happens."""

    url: WebhookUrl
    events: EventTypes
    description: Description = ""
    ordered: Annotated[bool, Meta(description="Send the events of an order one after the other.")] = False


class ChangeWebhookEndpoint(Request, frozen=True, kw_only=True):
    """What is to be different; what is not named stays."""

    url: WebhookUrl | UnsetType = UNSET
    events: EventTypes | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    ordered: bool | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="Begin or stop sending.")] | UnsetType = UNSET


class RotateWebhookSecret(Request, frozen=True, kw_only=True):
    """A wish for a new signing secret."""

    overlap_seconds: Annotated[
        int,
        Meta(ge=0, le=604_800, description="How long it is signed with the former secret, too; a day unless told."),
    ] = 86_400


class TestWebhookEndpoint(Request, frozen=True, kw_only=True):
    """A wish for a test; there is nothing to choose."""


class RedeliverWebhook(Request, frozen=True, kw_only=True):
    """A wish to be sent an event again; there is nothing to choose."""


class ReplayWebhooks(Request, frozen=True, kw_only=True):
    """A wish to be sent again what happened since a moment."""

    since: Annotated[datetime, Meta(tz=True, examples=["2026-01-31T12:00:00Z"])]


class ReturnLineRequest(Request, frozen=True, kw_only=True):
    """A product of the order, how many of it come back, and why; each product in one line."""

    sku: Annotated[str, Meta(min_length=1, max_length=40, examples=["TEA-EARL-100"])]
    quantity: Annotated[int, Meta(ge=1, le=10_000, examples=[1])]
    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=LINE_OF_TEXT, examples=["The packet was open."])]


class RequestReturn(Request, frozen=True, kw_only=True):
    """Goods to be sent back."""

    lines: Annotated[tuple[ReturnLineRequest, ...], Meta(min_length=1, max_length=100)]
