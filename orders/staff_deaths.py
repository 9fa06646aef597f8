"""When messages of an order were given up, and until when they waited for a person. Pure: no query is made here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outbox.models import AuditEntry, Delivery


@dataclass(frozen=True, slots=True)
class Death:
    """A message that was given up by a consumer."""

    delivery: str
    message_id: UUID
    consumer: str
    at: datetime
    until: datetime | None
    """When somebody retried or discarded it; None while it waits."""
    attempts: int
    error: str


def deaths_of(deliveries: Iterable[Delivery], audit: Iterable[AuditEntry]) -> list[Death]:
    """Return what was given up, in order of time: what a person has settled since, and what waits for one."""
    settled = [_settled(item, item.before["died_at"]) for item in audit if item.before and item.before.get("died_at")]
    waiting = [_waiting(delivery) for delivery in deliveries if delivery.state == "dead"]
    return sorted([*settled, *waiting], key=lambda death: death.at)


def _settled(item: AuditEntry, died_at: str) -> Death:
    before = item.before or {}
    return Death(
        item.subject.rpartition(":")[2],
        UUID(before["message_id"]),
        before["consumer"],
        datetime.fromisoformat(died_at),
        item.at,
        before["attempts"],
        before["error"],
    )


def _waiting(delivery: Delivery) -> Death:
    at = delivery.died_at or delivery.enqueued_at
    return Death(
        str(delivery.id), delivery.message_id, delivery.consumer, at, None, delivery.attempts, delivery.last_error
    )
