"""Reads for operators: deliveries, one message with everything known of it. Frozen values, ready to be printed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from outbox.models import Attempt, Delivery, FormerReceipt, Message, Receipt


@dataclass(frozen=True)
class DeliveryView:
    """One delivery as a line of a list."""

    id: int
    message_id: UUID
    consumer: str
    state: str
    attempts: int
    due_at: datetime | None
    died_at: datetime | None
    fingerprint: str
    error: str


@dataclass(frozen=True)
class MessageView:
    """One message, where it stands and what went wrong with it."""

    message: dict[str, Any]
    deliveries: list[DeliveryView]
    receipts: list[dict[str, Any]]
    former_receipts: list[dict[str, Any]]
    """Of before it was replayed."""
    attempts: list[dict[str, Any]]


def deliveries(state: str | None, consumer: str | None, limit: int) -> list[DeliveryView]:
    """Return unfinished deliveries, oldest first; of one state or consumer when given."""
    rows = Delivery.objects.order_by("id")
    if state is not None:
        rows = rows.filter(state=state)
    if consumer is not None:
        rows = rows.filter(consumer=consumer)
    return [_view(row) for row in rows[:limit]]


def message(message_id: UUID) -> MessageView | None:
    """Return what is known of a message; None when there is none."""
    row = Message.objects.filter(id=message_id).values().first()
    if row is None:
        return None
    return MessageView(
        dict(row),
        [_view(delivery) for delivery in Delivery.objects.filter(message_id=message_id).order_by("consumer")],
        [dict(receipt) for receipt in Receipt.objects.filter(message_id=message_id).order_by("consumer").values()],
        [dict(former) for former in FormerReceipt.objects.filter(message_id=message_id).order_by("id").values()],
        [dict(attempt) for attempt in Attempt.objects.filter(message_id=message_id).order_by("id").values()],
    )


def _view(row: Delivery) -> DeliveryView:
    return DeliveryView(
        row.id,
        row.message_id,
        row.consumer,
        row.state,
        row.attempts,
        row.due_at,
        row.died_at,
        row.fingerprint,
        row.last_error,
    )
