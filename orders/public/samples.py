"""A sample of each public event, for the documents."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from orders.public.objects import (
    EventObject,
)
from orders.public_ids import EVENT, public_id
from outbox.contracts import Contract
from outbox.samples import sample_of


def sample_event(declared: Contract) -> dict[str, Any]:
    """Return an event of this type as it could stand in a feed; the same one each time."""
    digits = "0199a2f0c1d27c3b8e5f4a6b7c8d"
    return {
        "id": f"evt_{digits}9e10",
        "object": "event",
        "type": declared.name,
        "version": declared.version,
        "order": f"ord_{digits}9e0f",
        "sequence": 1 if declared.name == "order.placed" else 4,
        "occurred_at": "2026-01-31T12:00:00.120000Z",
        "created_at": "2026-01-31T12:00:00.140000Z",
        "data": sample_of(declared.schema()),
    }


def test_event(event_id: UUID) -> EventObject:
    """Return what a test of a webhook endpoint sends: an event about no order."""
    now = datetime.now(UTC)
    return EventObject(
        id=public_id(EVENT, event_id),
        type="webhook.test",
        version=1,
        order=None,
        sequence=None,
        occurred_at=now,
        created_at=now,
        data={"message": "This is a test: nothing has happened."},
    )
