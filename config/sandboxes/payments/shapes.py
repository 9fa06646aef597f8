"""How objects look to the SDK: what localstripe leaves out is added, what Stripe no longer sends is taken away."""

from collections.abc import Mapping
from sqlite3 import Row

Document = dict[str, object]

MARKER = "sandbox_call"
API_VERSION = "2026-01-28"


def intent(raw: Document, payment: Row, *, decline: str, expand: bool = False) -> Document:
    """A PaymentIntent from the provider's and what the front knows about its payment."""
    shown = {name: value for name, value in raw.items() if name not in ("charges", "latest_charge", "invoice")}
    charge = raw.get("latest_charge")
    full = charge if isinstance(charge, dict) else {}
    held = raw["status"] == "requires_capture"
    shown |= {
        "metadata": _without_marker(raw),
        "amount_capturable": payment["authorised"] if held else 0,
        "amount_received": payment["captured"],
        "canceled_at": payment["canceled_at"],
        "cancellation_reason": payment["cancellation_reason"] if payment["canceled_at"] else None,
        "description": payment["description"],
        "confirmation_method": "automatic",
        "payment_method_types": ["card"],
        "latest_charge": _charge_of_intent(full, shown, payment) if full and expand else full.get("id"),
    }
    if isinstance(error := raw.get("last_payment_error"), dict) and full.get("status") == "failed":
        shown["last_payment_error"] = {**error, "type": "card_error", "decline_code": decline}
    return shown


def _charge_of_intent(raw: Document, shown_intent: Document, payment: Row) -> Document:
    return charge(raw, payment) | {"metadata": shown_intent["metadata"]}


def charge(raw: Document, payment: Row | None, refunded: int | None = None) -> Document:
    """A Charge; `refunded` in minor units where the front knows better than the provider."""
    shown = {name: value for name, value in raw.items() if name not in ("refunds", "invoice")}
    if payment is not None:
        shown |= {"payment_intent": payment["intent"], "amount_captured": payment["captured"]}
    if refunded is not None:
        shown |= {"amount_refunded": refunded, "refunded": refunded >= int(str(raw["amount"]))}
    return shown


def refund(raw: Document, payment: Row, reason: str | None) -> Document:
    shown = {name: value for name, value in raw.items() if name != "date"}
    return shown | {"metadata": _without_marker(raw), "payment_intent": payment["intent"], "reason": reason}


def event(event_id: str, kind: str, created: int, subject: Document) -> Document:
    return {
        "id": event_id,
        "object": "event",
        "type": kind,
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": subject},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
    }


def listing(url: str, data: list[Document], *, has_more: bool) -> Document:
    return {"object": "list", "url": url, "data": data, "has_more": has_more}


def marker(raw: Mapping[str, object]) -> object:
    """Which of the front's calls made this object."""
    metadata = raw.get("metadata")
    return metadata.get(MARKER) if isinstance(metadata, dict) else None


def _without_marker(raw: Document) -> Document:
    metadata = raw.get("metadata")
    return {name: value for name, value in metadata.items() if name != MARKER} if isinstance(metadata, dict) else {}
