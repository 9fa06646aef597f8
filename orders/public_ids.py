"""Ids as customers see them: a prefix that tells the kind, and the UUID in hex. Pure; used at the doors only."""

import re
from uuid import UUID

ORDER, CUSTOMER, PAYMENT, SHIPMENT, RETURN = "ord", "cus", "pay", "shp", "ret"
API_KEY, EVENT = "key", "evt"
WEBHOOK_ENDPOINT, WEBHOOK_DELIVERY = "whk", "whd"

_HEX = re.compile(r"[0-9a-f]{32}")


def public_id(prefix: str, value: UUID) -> str:
    """Return the id that the outside sees, such as `ord_0190…`."""
    return f"{prefix}_{value.hex}"


def parse_public_id(prefix: str, text: str) -> UUID | None:
    """Return the UUID in a public id of that kind, or None when the text is not one."""
    kind, _, digits = text.partition("_")
    return UUID(digits) if kind == prefix and _HEX.fullmatch(digits) else None
