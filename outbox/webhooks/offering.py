"""Events offered to endpoints: as they happen, again because somebody asks, or to try the way."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from uuid_utils.compat import uuid7

from outbox.commands import ReplayEndpoint, ServeEndpoint
from outbox.models import DisabledReason, WebhookCause, WebhookDelivery, WebhookEndpoint
from outbox.publishing import require_unit_of_work, send
from outbox.webhooks.source import Offer, the_source

ALL = "*"
REPLAYED_AT_ONCE = 500
TEST = "webhook.test"


def wants(endpoint: WebhookEndpoint, event_type: str) -> bool:
    """Tell whether an endpoint chose events of this type."""
    return ALL in endpoint.events or event_type in endpoint.events


@require_unit_of_work
def offer(offers: Sequence[Offer]) -> None:
    """Let every endpoint that wants one of these events have it, once.

    An endpoint that was disabled for failing gets them when it answers again; one that a person disabled does not.
    """
    listening = Q(enabled=True) | Q(disabled_reason=DisabledReason.FAILING)
    endpoints = defaultdict(list)
    for endpoint in WebhookEndpoint.objects.filter(
        listening, owner_id__in={one.owner_id for one in offers}, deleted_at=None
    ).only("id", "owner_id", "events"):
        endpoints[endpoint.owner_id].append(endpoint)
    rows = [
        _row(endpoint.id, one, WebhookCause.EVENT)
        for one in offers
        for endpoint in endpoints[one.owner_id]
        if wants(endpoint, one.type)
    ]
    WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    _serve({row.endpoint_id for row in rows})


def _row(endpoint_id: UUID, one: Offer, cause: WebhookCause) -> WebhookDelivery:
    return WebhookDelivery(
        id=uuid7(),
        endpoint_id=endpoint_id,
        event_id=one.event_id,
        event_type=one.type,
        subject=one.subject,
        rank=one.rank,
        cause=cause,
    )


def _serve(endpoint_ids: Collection[UUID]) -> None:
    for endpoint_id in sorted(endpoint_ids):
        send(ServeEndpoint(endpoint_id=endpoint_id))


@require_unit_of_work
def send_test(endpoint: WebhookEndpoint, event_id: UUID, body: bytes) -> WebhookDelivery:
    """Send an endpoint something that did not happen, whatever it chose; `body` names its id."""
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint, event_id=event_id, event_type=TEST, cause=WebhookCause.TEST, body=body.decode()
    )
    _serve([endpoint.id])
    return _read(delivery)


@require_unit_of_work
def redeliver(delivery: WebhookDelivery) -> WebhookDelivery:
    """Send an event again to the endpoint of `delivery`, whatever became of that one."""
    again = WebhookDelivery.objects.create(
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        subject=delivery.subject,
        rank=delivery.rank,
        body=delivery.body,
        cause=WebhookCause.REDELIVERY,
    )
    _serve([delivery.endpoint_id])
    return _read(again)


def _read(delivery: WebhookDelivery) -> WebhookDelivery:
    return WebhookDelivery.objects.get(id=delivery.id)


@require_unit_of_work
def begin_replay(endpoint: WebhookEndpoint, since: datetime) -> None:
    """Send an endpoint again what it wants of the events since a moment, oldest first."""
    send(ReplayEndpoint(endpoint_id=endpoint.id, since=since, after=0))


@require_unit_of_work
def go_on_replaying(command: ReplayEndpoint) -> None:
    """Hand out a portion of a replay, and ask for the next."""
    endpoint = WebhookEndpoint.objects.filter(id=command.endpoint_id, deleted_at=None).first()
    if endpoint is None:
        return
    found = the_source().since(endpoint.owner_id, command.since, command.after, REPLAYED_AT_ONCE)
    rows = [_row(endpoint.id, one, WebhookCause.REPLAY) for _, one in found if wants(endpoint, one.type)]
    WebhookDelivery.objects.bulk_create(rows)
    if rows:
        _serve([endpoint.id])
    if len(found) == REPLAYED_AT_ONCE:
        send(ReplayEndpoint(endpoint_id=endpoint.id, since=command.since, after=found[-1][0]))
