"""What staff see of customers' webhook endpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from orders.models import Customer
from orders.public_ids import EVENT, WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT, public_id
from outbox.models import DisabledReason, WebhookDelivery, WebhookEndpoint, WebhookState
from outbox.webhooks.schedule import FAILURES_UNTIL_PROBING

DELIVERIES_SHOWN = 50
TONES: Mapping[str, tuple[str, str]] = {
    WebhookState.WAITING: ("waiting", "Waiting"),
    WebhookState.SENDING: ("progress", "Being sent"),
    WebhookState.SUCCEEDED: ("done", "Delivered"),
    WebhookState.FAILED: ("failed", "Given up"),
    WebhookState.DISCARDED: ("waiting", "Discarded"),
}


@dataclass(frozen=True)
class EndpointRow:
    """An endpoint as a list shows it."""

    id: str
    href: str
    url: str
    customer: str
    tone: str
    word: str
    now: str
    """What is going on, in words."""
    waiting: int
    row: WebhookEndpoint


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery as an endpoint's page shows it."""

    id: str
    event: str
    tone: str
    word: str
    attempts: Sequence[Any]
    row: WebhookDelivery


def find_endpoints(query: str, show: str) -> QuerySet[WebhookEndpoint]:
    """Return the endpoints with `query` in their URL or their customer's name; `trouble` leaves those that work out."""
    found = WebhookEndpoint.objects.filter(deleted_at=None)
    if show == "trouble":
        found = found.filter(Q(enabled=False) | Q(failures__gt=0))
    if query:
        named = Customer.objects.filter(name__icontains=query).values("id")
        found = found.filter(Q(url__icontains=query) | Q(owner_id__in=named))
    return found


def endpoint_rows(endpoints: Sequence[WebhookEndpoint]) -> list[EndpointRow]:
    """Return endpoints with their customers and what waits for them; two statements for all."""
    names = dict(Customer.objects.filter(id__in={one.owner_id for one in endpoints}).values_list("id", "name"))
    waiting = dict(
        WebhookDelivery.objects.filter(endpoint__in=endpoints, state=WebhookState.WAITING)
        .values_list("endpoint_id")
        .annotate(count=Count("id"))
        .order_by()
    )
    return [_endpoint_row(one, names, waiting) for one in endpoints]


def _endpoint_row(one: WebhookEndpoint, names: Mapping[UUID, str], waiting: Mapping[UUID, int]) -> EndpointRow:
    tone, word, now = _in_words(one)
    id_ = public_id(WEBHOOK_ENDPOINT, one.id)
    customer = names.get(one.owner_id, "")
    return EndpointRow(id_, f"/staff/webhooks/{id_}/", one.url, customer, tone, word, now, waiting.get(one.id, 0), one)


def _in_words(one: WebhookEndpoint) -> tuple[str, str, str]:
    if one.disabled_reason == DisabledReason.FAILING:
        return "failed", "Disabled", "Nothing was delivered for days. It is tried every hour, and its events are kept."
    if not one.enabled:
        return "waiting", "Disabled", f"{DisabledReason(one.disabled_reason).label}. Nothing is sent."
    if one.failures >= FAILURES_UNTIL_PROBING:
        return "attention", "Failing", f"Every call fails; one at a time is tried. {one.last_error}"
    if one.failures:
        return "attention", "Failing", one.last_error
    return "done", "Working", "All is delivered as it happens."


def delivery_rows(endpoint: WebhookEndpoint, state: str) -> list[DeliveryRow]:
    """Return the newest deliveries of an endpoint with every attempt."""
    found = WebhookDelivery.objects.filter(endpoint=endpoint).prefetch_related("attempt_log").order_by("-id")
    if state in WebhookState.values:
        found = found.filter(state=state)
    return [
        DeliveryRow(
            public_id(WEBHOOK_DELIVERY, one.id),
            public_id(EVENT, one.event_id),
            *TONES[one.state],
            list(one.attempt_log.all()),
            one,
        )
        for one in found[:DELIVERIES_SHOWN]
    ]
