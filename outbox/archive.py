"""What can be said of messages that are no longer kept."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from outbox.models import DroppedPartition

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def said_at(message_id: UUID) -> datetime | None:
    """Return the time in a UUIDv7; None for an id that was not made from a clock."""
    milliseconds = timedelta(milliseconds=message_id.int >> 80)
    return EPOCH + milliseconds if milliseconds < LAST - EPOCH else None


def dropped_months(begin: datetime, end: datetime) -> list[DroppedPartition]:
    """Return the months of messages that were dropped and touch the time from `begin` to `end`, the oldest first."""
    touching = DroppedPartition.objects.filter(parent="outbox_message", begins__lte=end, ends__gt=begin)
    return list(touching.order_by("begins"))


def what_became_of(message_id: UUID) -> str:
    """Say in a sentence where a message is that is not found: dropped with its month, or never here."""
    at = said_at(message_id)
    months = dropped_months(at, at) if at else []
    if not months:
        return f"There is no message {message_id}."
    return (
        f"Message {message_id} is of {months[0].begins:%B %Y}. What was said then was finished, and is no longer kept: "
        f"its month was dropped on {months[0].dropped_at:%d %B %Y}."
    )
