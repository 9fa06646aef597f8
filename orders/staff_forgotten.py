"""What an order's page says of months whose messages are no longer kept."""

from collections.abc import Sequence
from datetime import datetime

from orders.models import Order
from orders.selectors import timeline_of
from orders.staff_story import Entry
from outbox.archive import dropped_months
from outbox.models import DroppedPartition

_KEPT = "The order, its steps, its money and its goods are kept; of the way there only the states are told."


def forgotten_months(order: Order, end: datetime) -> list[DroppedPartition]:
    """Return the dropped months that touch the order's time, from its placing to `end`."""
    return dropped_months(order.placed_at, max(end, order.placed_at))


def in_words(months: Sequence[DroppedPartition]) -> str:
    """Say which months' messages are gone; empty when none is."""
    if not months:
        return ""
    first, last = months[0].begins, months[-1].begins
    when = f"{first:%B %Y}" if first == last else f"{first:%B %Y} to {last:%B %Y}"
    return f"Messages of {when} are no longer kept. {_KEPT}"


def remembered(order: Order, months: Sequence[DroppedPartition]) -> list[Entry]:
    """Return what is still told of the dropped months: each step of the order, its money and its goods."""
    if not months:
        return []
    return [
        Entry(f"t-{place}", told.at, "progress", "message", told.description, summary=told.type)
        for place, told in enumerate(timeline_of(order))
        if any(month.begins <= told.at < month.ends for month in months)
    ]
