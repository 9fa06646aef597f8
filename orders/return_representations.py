"""What customers are shown of goods that they send back. Pure."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from orders.representations import EXAMPLE_ORDER, Money, Progress, Representation


class ReturnLineObject(Representation, frozen=True, kw_only=True):
    """Pieces of one product that come back. The last three are null before the goods were inspected."""

    sku: str
    name: Annotated[str, Meta(examples=["Earl Grey, 100 g"])]
    quantity: int
    reason: Annotated[str, Meta(examples=["The packet was open."])]
    sellable: Annotated[int | None, Meta(description="Paid back, and sold again.", examples=[None])]
    damaged: Annotated[int | None, Meta(description="Paid back.", examples=[None])]
    refused: Annotated[int | None, Meta(description="Not there, or not taken back: not paid back.", examples=[None])]


class ReturnLinks(Representation, frozen=True, kw_only=True):
    """Where to follow the return."""

    self_: Annotated[
        str, Meta(examples=["https://tandem.example/api/v1/returns/ret_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])
    ] = msgspec.field(name="self")
    order: Annotated[str, Meta(examples=[EXAMPLE_ORDER])]


class ReturnObject(Representation, frozen=True, kw_only=True):
    """Goods of an order that are sent back."""

    id: Annotated[str, Meta(examples=["ret_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    object: Literal["return"] = "return"
    order: Annotated[str, Meta(examples=["ord_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    status: Annotated[
        Literal["requested", "approved", "rejected", "received", "inspected", "refund_granted", "closed"],
        Meta(examples=["approved"]),
    ]
    lines: list[ReturnLineObject]
    refund: Annotated[
        Money | None, Meta(description="What is paid back; null before the goods were inspected.", examples=[None])
    ]
    reason_code: Annotated[str | None, Meta(description="Why it was rejected: a stable code.", examples=[None])]
    reason: Annotated[str | None, Meta(description="The same in words.", examples=[None])]
    created_at: datetime
    progress: Progress
    links: ReturnLinks


class ReturnList(Representation, frozen=True, kw_only=True):
    """The returns of an order, oldest first."""

    data: list[ReturnObject]
    next: str | None = None
    previous: str | None = None
