"""How orders and parcels are called toward the carrier: a prefix that tells the kind, and the id in hex. Pure."""

import re
from uuid import UUID

_ORDER = re.compile(r"ord_([0-9a-f]{32})")
_SHIPMENT = re.compile(r"shp_([0-9a-f]{32})")


def order_reference(order_id: UUID) -> str:
    """Return the reference of an order."""
    return f"ord_{order_id.hex}"


def shipment_reference(shipment_id: UUID) -> str:
    """Return the reference of a parcel."""
    return f"shp_{shipment_id.hex}"


def order_of(reference: str) -> UUID | None:
    """Return the order that a reference names, or None when it names none."""
    match = _ORDER.fullmatch(reference)
    return UUID(match[1]) if match else None


def shipment_of(reference: str) -> UUID | None:
    """Return the parcel that a reference names, or None when it names none."""
    match = _SHIPMENT.fullmatch(reference)
    return UUID(match[1]) if match else None
