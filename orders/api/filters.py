"""Reading query parameters: known ones only, each with its own fault."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest

from orders.errors import FieldError, ValidationFailed
from orders.models import OrderLine
from orders.public.contracts import PUBLIC
from orders.public_ids import ORDER, parse_public_id
from orders.states import OrderStatus
from outbox.models import WebhookState

PAGING = frozenset({"limit", "cursor"})


def _status(text: str) -> Q:
    if text not in OrderStatus.values:
        raise ValueError(f"status has to be one of {', '.join(OrderStatus.values)}.")
    return Q(status=text)


def _text(name: str, text: str) -> str:
    if not text or len(text) > 200 or "\0" in text:
        raise ValueError(f"{name} has to be a text of 1 to 200 characters.")
    return text


def _time(name: str, text: str) -> datetime:
    refusal = ValueError(f"{name} has to be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z.")
    try:
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is None:
            raise refusal
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise refusal from None


ORDER_FILTERS: Mapping[str, Callable[[str], Q]] = {
    "status": _status,
    "reference": lambda text: Q(reference=_text("reference", text)),
    "sku": lambda text: Q(Exists(OrderLine.objects.filter(order=OuterRef("pk"), sku=_text("sku", text)))),
    "placed_after": lambda text: Q(placed_at__gt=_time("placed_after", text)),
    "placed_before": lambda text: Q(placed_at__lt=_time("placed_before", text)),
}

PRODUCT_FILTERS: Mapping[str, Callable[[str], Q]] = {
    "category": lambda text: Q(category=_text("category", text)),
}


def _event_type(text: str) -> Q:
    if text not in PUBLIC:
        raise ValueError(f"type has to be one of {', '.join(PUBLIC)}.")
    return Q(type=text)


def _order(text: str) -> Q:
    order_id = parse_public_id(ORDER, text)
    if order_id is None:
        raise ValueError("order has to be the id of an order, ord_….")
    return Q(order_id=order_id)


def _delivery_status(text: str) -> Q:
    if text not in WebhookState.values:
        raise ValueError(f"status has to be one of {', '.join(WebhookState.values)}.")
    return Q(state=text)


DELIVERY_FILTERS: Mapping[str, Callable[[str], Q]] = {"status": _delivery_status}
EVENT_FILTERS: Mapping[str, Callable[[str], Q]] = {"type": _event_type, "order": _order}


def filters_of(request: HttpRequest, known: Mapping[str, Callable[[str], Q]]) -> Q:
    """Return the condition that the query parameters ask for. Raises ValidationFailed with all that is wrong."""
    faults = _unknown(request, known.keys() | PAGING)
    condition = Q()
    for name, read in known.items():
        text = request.GET.get(name)
        if text is None:
            continue
        try:
            condition &= read(text)
        except ValueError as error:
            faults.append(FieldError(f"?{name}", "invalid", str(error)))
    if faults:
        raise ValidationFailed(faults)
    return condition


def _unknown(request: HttpRequest, known: Collection[str]) -> list[FieldError]:
    there = ", ".join(sorted(known))
    unknown = [
        FieldError(f"?{name[:40]}", "unknown_parameter", f"There is no parameter {name[:40]!r}; there are {there}.")
        for name in request.GET
        if name not in known
    ]
    twice = [
        FieldError(f"?{name}", "repeated", f"The parameter {name} may be there once only.")
        for name in known
        if len(request.GET.getlist(name)) > 1
    ]
    return unknown + twice
