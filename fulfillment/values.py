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
