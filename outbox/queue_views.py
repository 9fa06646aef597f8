"""Reads for operators: deliveries, one message with everything known of it. Frozen values, ready to be printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from outbox.models import Attempt, Delivery, DeliveryState, FormerReceipt, Message, Receipt


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
    deliver_by: datetime | None
    ordering_key: str | None
    blocked_behind: int | None
    """The delivery at the head of its ordering key, when it is held."""
    head_state: str | None
    """That one's state."""
    holds_back: int
    """How many are held by it."""


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
    return _views(list(rows[:limit]))


def message(message_id: UUID) -> MessageView | None:
    """Return what is known of a message; None when there is none."""
    row = Message.objects.filter(id=message_id).values().first()
    if row is None:
        return None
    return MessageView(
        dict(row),
        _views(list(Delivery.objects.filter(message_id=message_id).order_by("consumer"))),
        [dict(receipt) for receipt in Receipt.objects.filter(message_id=message_id).order_by("consumer").values()],
        [dict(former) for former in FormerReceipt.objects.filter(message_id=message_id).order_by("id").values()],
        [dict(attempt) for attempt in Attempt.objects.filter(message_id=message_id).order_by("id").values()],
    )


class Line(NamedTuple):
    """Where the deliveries of one ordering key stand."""

    head: int
    """The one that comes first."""
    head_state: str
    held: int
    """How many it holds back."""


_LINES = """
SELECT wanted.consumer, wanted.key, head.id, head.state,
       (SELECT count(*) FROM outbox_delivery d
        WHERE d.consumer = wanted.consumer AND d.ordering_key = wanted.key AND d.state = 'held')
FROM unnest(%s::text[], %s::text[]) AS wanted (consumer, key)
CROSS JOIN LATERAL (
    SELECT id, state FROM outbox_delivery d WHERE d.consumer = wanted.consumer AND d.ordering_key = wanted.key
    ORDER BY place LIMIT 1
) head
"""


def lines(rows: Sequence[Delivery]) -> dict[tuple[str, str], Line]:
    """Return how the ordering keys of `rows` stand, by (consumer, key)."""
    keys = {(row.consumer, row.ordering_key) for row in rows if row.ordering_key is not None}
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [list(column) for column in zip(*keys, strict=True)])
        return {(consumer, key): Line(*line) for consumer, key, *line in cursor.fetchall()}


def _views(rows: Sequence[Delivery]) -> list[DeliveryView]:
    known = lines(rows)
    return [_view(row, known.get((row.consumer, row.ordering_key or ""))) for row in rows]


def _view(row: Delivery, line: Line | None) -> DeliveryView:
    held = row.state == DeliveryState.HELD
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
        row.deliver_by,
        row.ordering_key,
        line.head if line and held else None,
        line.head_state if line and held else None,
        line.held if line and line.head == row.id else 0,
    )
