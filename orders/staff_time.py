"""Where an order's time went, from rows that were read elsewhere. Pure: no query is made here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from orders.staff_deaths import deaths_of
from orders.staff_story import Rows


@dataclass(frozen=True, slots=True)
class Part:
    """A share of an order's time. `x` and `width` are percent."""

    kind: str
    label: str
    seconds: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Where an order's time went."""

    total: float
    parts: tuple[Part, ...]


PARTS = (
    ("work", "our own work"),
    ("party", "outside systems answering"),
    ("retry", "waiting to try again"),
    ("queue", "in our queue"),
    ("person", "given up: waiting for a person"),
    ("outside", "nothing to do: waiting for stock, the carrier or a person"),
)
_STRENGTH = {kind: rank for rank, kind in enumerate(("outside", "person", "queue", "retry", "work", "party"))}


def spent_of(rows: Rows, *, start: datetime, end: datetime) -> Spent:
    """Return where the time between `start` and `end` went.

    What overlaps counts once, for the stronger reason: somebody outside answering before our own work, work before
    waiting to try again, that before the queue, and the queue before a message that was given up and waits for a
    person. What is left is time in which nothing was there to do.
    """
    spans = [span for span in _spans(rows, end) if span[1] < end and span[2] > start]
    edges = sorted({start, end, *(edge for _, low, high in spans for edge in (max(low, start), min(high, end)))})
    totals: dict[str, float] = defaultdict(float)
    for low, high in pairwise(edges):
        kinds = [kind for kind, begin, finish in spans if begin <= low and finish >= high]
        totals[max(kinds, key=_STRENGTH.__getitem__, default="outside")] += (high - low).total_seconds()
    return _shares(totals)


def _shares(totals: Mapping[str, float]) -> Spent:
    whole = sum(totals.values())
    parts, x = [], 0.0
    for kind, label in PARTS:
        if seconds := totals.get(kind, 0.0):
            width = seconds / whole * 100
            parts.append(Part(kind, label, seconds, x, width))
            x += width
    return Spent(whole, tuple(parts))


def _spans(rows: Rows, end: datetime) -> Iterable[tuple[str, datetime, datetime]]:
    """Yield (kind, from, to) of every wait and every piece of work."""
    created = {message.id: message.created_at for message in rows.messages}
    revived: dict[tuple[UUID, str], datetime] = {}
    for death in deaths_of(rows.deliveries, rows.audit):
        of = (death.message_id, death.consumer)
        if since := revived.get(of, created.get(death.message_id)):
            yield ("retry" if death.attempts > 1 else "queue", since, death.at)
        revived[of] = death.until or end
        yield ("person", death.at, revived[of])
    for receipt in rows.receipts:
        begun = receipt.finished_at - timedelta(milliseconds=receipt.duration_ms)
        yield ("party" if receipt.consumer in rows.external else "work", begun, receipt.finished_at)
        if receipt.message_id in created:
            since = revived.get((receipt.message_id, receipt.consumer), created[receipt.message_id])
            yield ("retry" if receipt.attempts > 1 else "queue", since, begun)
    for delivery in rows.deliveries:
        if delivery.state in ("dead", "parked") or (delivery.state == "scheduled" and not delivery.attempts):
            continue  # given up, or a timer that is not due: nothing is being waited for in the queue
        since = revived.get(
            (delivery.message_id, delivery.consumer), created.get(delivery.message_id, delivery.enqueued_at)
        )
        yield ("retry" if delivery.attempts or delivery.consumer in rows.held else "queue", since, end)
    for attempt in rows.attempts:
        if attempt.duration_ms:
            began = attempt.at - timedelta(milliseconds=attempt.duration_ms)
            yield ("party" if attempt.consumer in rows.external else "work", began, attempt.at)
