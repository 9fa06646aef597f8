"""The values that fulfilment takes in and gives out. Pure and frozen; never model rows."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingAddress:
    """Where the order goes. `country` is the ISO 3166-1 alpha-2 code."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveLine:
    """One order line as fulfilment sees it."""

    line_id: UUID
    sku: str
    quantity: int
    weight_grams: int
    """Weight of one piece in grams, for the parcel's label."""
    may_wait: bool = False
    """What is not in stock is waited for; otherwise the whole order is refused."""


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What one warehouse has of one product, in pieces."""

    sku: str
    warehouse: str
    country: str
    on_hand: int
    reserved: int

    @property
    def available(self) -> int:
        """Return how many may still be promised."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class ShipmentLine:
    """What of one order line is in a parcel."""

    line_id: UUID
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ShipmentView:
    """One parcel as other apps may see it."""

    id: UUID
    order_id: UUID
    warehouse: str
    status: str
    """A value of fulfillment.states.ShipmentStatus."""
    tracking_number: str
    label_url: str
    weight_grams: int
    failure_code: str
    failure_reason: str
    lines: tuple[ShipmentLine, ...]
    """Empty for a parcel that will never leave."""
    created_at: datetime
    handed_over_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelReport:
    """What the carrier's callback says about a parcel."""

    shipment_id: UUID
    order_id: UUID
    report: str
    sequence: int
    label_id: str
    tracking_number: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnWish:
    """Pieces of one product that a customer wants to send back."""

    sku: str
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an inspection found of one product; the pieces that are neither are not taken back."""

    sku: str
    sellable: int
    damaged: int


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """Pieces of one product in a return; the counts of the inspection are None before it."""

    line_id: UUID
    sku: str
    quantity: int
    reason: str
    sellable: int | None
    damaged: int | None
    refused: int | None

    @property
    def accepted(self) -> int:
        """How many pieces are paid back; 0 before the inspection."""
        return (self.sellable or 0) + (self.damaged or 0)


@dataclass(frozen=True, slots=True)
class ReturnView:
    """A return as other apps may see it."""

    id: UUID
    order_id: UUID
    status: str
    """A value of fulfillment.states.ReturnStatus."""
    late: bool
    warehouse: str
    """The code of where the goods arrived; empty before."""
    reason_code: str
    reason: str
    """Why it was rejected, for the customer."""
    lines: tuple[ReturnedLine, ...]
    created_at: datetime
