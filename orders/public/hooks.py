"""The feed as the source of webhooks: what is sent is what the feed shows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from orders.models import PublicEvent
from orders.serializers import event_object
from outbox.webhooks.source import Letter, Offer


def offer_of(event: PublicEvent) -> Offer:
    """Return a public event as it is offered to webhook endpoints: ordered by its order, for those who ask."""
    return Offer(event.customer_id, event.id, event.type, str(event.order_id), event.sequence)


class Feed:
    """Answers what the webhook machinery asks (outbox.webhooks.source.Source)."""

    def letters(self, event_ids: Collection[UUID]) -> Mapping[UUID, Letter]:
        """Return the events as they are sent: what GET /events/{id} shows."""
        found = PublicEvent.objects.in_bulk(list(event_ids))
        return {id_: Letter(event.public_id, msgspec.json.encode(event_object(event))) for id_, event in found.items()}

    def since(self, owner_id: UUID, moment: datetime, after: int, limit: int) -> Sequence[tuple[int, Offer]]:
        """Return the next events of the customer's feed that were written since `moment`."""
        events = PublicEvent.objects.filter(customer_id=owner_id, position__gt=after, created_at__gte=moment)
        return [(event.position, offer_of(event)) for event in events.order_by("position")[:limit]]
