"""The staff's pages on returns: the list, one return, and the card on the order's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.urls import reverse

from fulfillment import facade as fulfillment
from fulfillment.facade import ReturnedLine, ReturnView
from orders.console_links import console_item
from orders.models import Order, OrderLine
from orders.pricing import refund_of
from orders.public_ids import RETURN, public_id
from orders.refunds import refund_for
from orders.representations import Progress
from orders.sagas import RETURN_ORDER
from orders.selectors import progress_of_returns
from orders.staff_selectors import Chip, closed, href_of
from orders.staff_words import RETURN as WORDS
from orders.staff_words import STEP, Words
from outbox.models import Saga

PAGE = 50
CHIPS = {
    "todo": ("To do", "attention", ("requested", "received")),
    "awaited": ("Goods awaited", "waiting", ("approved",)),
    "refunding": ("Being refunded", "progress", ("inspected", "refund_granted")),
    "closed": ("Paid back", "done", ("closed",)),
    "rejected": ("Rejected", "failed", ("rejected",)),
}
FINAL = ("closed", "rejected")


@dataclass(frozen=True, slots=True)
class Row:
    """A return in the list, or on its order's page."""

    id: str
    href: str
    order: str
    customer: str
    items: str
    tone: str
    word: str
    now: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces of one product that come back."""

    sku: str
    name: str
    quantity: int
    reason: str
    unit_price: Decimal
    found: str
    """What the inspection found, in words; empty before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the return's way."""

    label: str
    tone: str
    words: str
    current: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on a return's page."""

    row: Row
    status: str
    open: bool
    order_href: str
    order_word: str
    customer: str
    late: bool
    reason: str
    stuck: str
    """Why it is stuck; empty when it is not."""
    stuck_href: str
    steps: Sequence[Step]
    lines: Sequence[Line]
    currency: str
    most: Decimal
    """What is paid back when everything is taken back."""
    refund: Decimal | None
    """What is paid back; None before the inspection."""
    warehouse: str
    warehouses: Sequence[tuple[str, str]]


def chips(show: str) -> list[Chip]:
    """Return the filters of the list."""
    every = [("", "All", "")] + [(name, label, tone) for name, (label, tone, _) in CHIPS.items()]
    return [Chip(label, f"?show={name}" if name else "?", tone, name == show) for name, label, tone in every]


def rows(show: str, before: UUID | None) -> tuple[list[Row], str]:
    """Return a page of the list, newest first, and where the next one begins (empty after the last)."""
    statuses = CHIPS[show][2] if show in CHIPS else ()
    found = fulfillment.returns_by_status(statuses, before=before, limit=PAGE + 1)
    shown, more = found[:PAGE], len(found) > PAGE
    orders = Order.objects.select_related("customer").prefetch_related("lines")
    by_id = orders.in_bulk([returned.order_id for returned in shown])
    progress = progress_of_returns([returned.id for returned in shown])
    listed = [row_of(returned, by_id[returned.order_id], progress[returned.id]) for returned in shown]
    return listed, shown[-1].id.hex if more else ""


def rows_of_order(order: Order, found: Sequence[ReturnView]) -> list[Row]:
    """Return the order's returns as rows, in the order of `found`."""
    progress = progress_of_returns([returned.id for returned in found])
    return [row_of(returned, order, progress[returned.id]) for returned in found]


def row_of(returned: ReturnView, order: Order, progress: Progress) -> Row:
    """Return a return as a row."""
    words = _words(returned, progress)
    name = public_id(RETURN, returned.id)
    names = {line.id: line.name for line in order.lines.all()}
    pieces = [f"{names[line.line_id]} \N{MULTIPLICATION SIGN} {line.quantity}" for line in returned.lines]
    return Row(
        id=name,
        href=reverse("staff:return", args=[name]),
        order=order.public_id,
        customer=order.customer.name,
        items=pieces[0] if len(pieces) == 1 else f"{pieces[0]} and {len(pieces) - 1} more",
        tone=words.tone,
        word=words.word,
        now=_now(returned, progress),
        created_at=returned.created_at,
    )


def _words(returned: ReturnView, progress: Progress) -> Words:
    if progress.state == "needs_attention" and returned.status not in FINAL:
        return Words("attention", "Needs attention")
    return WORDS[returned.status]


def _now(returned: ReturnView, progress: Progress) -> str:
    match returned.status:
        case "requested":
            return "Asked for after the time for returns: somebody has to decide."
        case "approved":
            return "The customer may send the goods."
        case "received":
            return f"The goods are in {returned.warehouse}, to be inspected."
        case "rejected":
            return closed(returned.reason)
        case "closed":
            return "The goods are back, and paid back."
    return f"Waiting for {progress.awaiting}." if progress.awaiting else ""


def page_of(returned: ReturnView, order: Order) -> Page:
    """Return the page of a return."""
    progress = progress_of_returns([returned.id])[returned.id]
    lines = {line.id: line for line in order.lines.all()}
    saga = Saga.objects.get(definition=RETURN_ORDER.name, key=returned.id)
    stuck = progress.state == "needs_attention" and returned.status not in FINAL
    return Page(
        row=row_of(returned, order, progress),
        status=returned.status,
        open=returned.status not in FINAL,
        order_href=href_of(order),
        order_word=order.reference or "",
        customer=order.customer.name,
        late=returned.late,
        reason=returned.reason,
        stuck=closed(saga.reason) if stuck else "",
        stuck_href=console_item("saga", saga.id) if stuck else "",
        steps=[_step(step.label, step.status, step.finished_at) for step in progress.steps],
        lines=[_line(line, lines[line.line_id]) for line in returned.lines],
        currency=order.currency,
        most=refund_of(lines.values(), {line.line_id: line.quantity for line in returned.lines}),
        refund=refund_for(returned, lines.values(), order.currency),
        warehouse=returned.warehouse,
        warehouses=fulfillment.warehouses(),
    )


def _step(label: str, status: str, finished_at: datetime | None) -> Step:
    words = STEP[status]
    said = f"{finished_at:%d %b, %H:%M}" if finished_at and status == "done" else words.word
    return Step(label, words.tone, said, status in ("running", "waiting", "needs_attention"))


def _line(line: ReturnedLine, ordered: OrderLine) -> Line:
    counts = ((line.sellable, "back on the shelf"), (line.damaged, "damaged"), (line.refused, "not taken back"))
    found = ", ".join(f"{count} {words}" for count, words in counts if count)
    return Line(line.sku, ordered.name, line.quantity, line.reason, ordered.unit_price, found)
