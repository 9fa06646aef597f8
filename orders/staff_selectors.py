"""Reads of the staff's list of orders: search by anything, filter by state, newest first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.lookups import Exact
from django.urls import reverse

from orders.models import ID_ENDING, Customer, Order, OrderLine
from orders.public_ids import CUSTOMER, ORDER, PAYMENT, parse_public_id
from orders.representations import Progress
from orders.sagas import RETURN_ORDER
from orders.selectors import progress_of_orders
from orders.staff_story import Held
from orders.staff_words import ORDER as ORDER_WORDS
from orders.staff_words import Words
from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus
from outbox.models import Breaker, Delivery, Message, Saga

FINAL = (OrderStatus.COMPLETED, OrderStatus.REJECTED, OrderStatus.CANCELLED)
STUCK = ("forward_stuck", "compensation_stuck")
MOST_FOUND = 200
"""Orders that a part of an id finds; one that is not too short finds a few."""

_PART_OF_ID = re.compile(r"(?:ord_|(?=\W*\w{8}))(?P<dots>…|\.\.\.)?(?P<digits>[0-9a-f]{4,31})")


@dataclass(frozen=True, slots=True)
class Row:
    """An order in the list."""

    id: str
    href: str
    reference: str
    customer: str
    items: str
    total: Decimal
    currency: str
    tone: str
    word: str
    now: str
    percent: int
    open: bool
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Chip:
    """A saved filter."""

    label: str
    href: str
    tone: str
    current: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """What a chip shows."""

    label: str
    tone: str
    condition: Q


def needing_attention() -> Q:
    """Return the condition for orders that wait for a person: held, stuck, or with a message given up."""
    given_up = Message.objects.filter(id__in=Delivery.objects.filter(state="dead").values("message_id"))
    stuck = Saga.objects.filter(key=OuterRef("id"), status__in=STUCK)
    returns = Saga.objects.filter(definition=RETURN_ORDER.name, status__in=STUCK)
    conversations = Q(correlation_id__in=given_up.values("correlation_id"))
    conversations |= Q(correlation_id__in=returns.values("correlation_id"))
    return Q(status=OrderStatus.ON_HOLD) | Q(Exists(stuck)) | conversations


FILTERS = {
    "open": Filter("In progress", "progress", ~Q(status__in=FINAL)),
    "backordered": Filter(
        "Backordered", "waiting", Q(fulfillment_status=FulfillmentStatus.BACKORDERED) & ~Q(status__in=FINAL)
    ),
    "attention": Filter("Needs attention", "attention", needing_attention()),
    "completed": Filter("Completed", "done", Q(status=OrderStatus.COMPLETED)),
    "rejected": Filter("Rejected", "failed", Q(status=OrderStatus.REJECTED)),
    "cancelled": Filter("Cancelled", "waiting", Q(status__in=(OrderStatus.CANCELLING, OrderStatus.CANCELLED))),
}


def find_orders(query: str, show: str) -> QuerySet[Order]:
    """Return the orders that `query` may mean, restricted to the filter `show` when it names one."""
    orders = Order.objects.select_related("customer").prefetch_related(
        Prefetch("lines", OrderLine.objects.order_by("position"))
    )
    if show in FILTERS:
        orders = orders.filter(FILTERS[show].condition)
    return orders.filter(_meaning(query)) if query else orders


def _meaning(query: str) -> Q:
    if found := parse_public_id(ORDER, query):
        return Q(id=found)
    if found := parse_public_id(PAYMENT, query):
        return Q(payment_id=found)
    if found := parse_public_id(CUSTOMER, query):
        return Q(customer_id=found)
    if found := _uuid(query):
        return Q(id=found) | Q(correlation_id=found) | Q(payment_id=found)
    if (part := _PART_OF_ID.fullmatch(query.replace("-", "").lower())) and (ids := _ids_with(part)):
        return Q(id__in=ids)
    customers = Customer.objects.filter(Q(name__icontains=query) | Q(email__icontains=query))
    lines = OrderLine.objects.filter(order=OuterRef("id"), sku__istartswith=query)
    return Q(customer__in=customers) | Q(reference__istartswith=query) | Q(Exists(lines))


def _ids_with(part: re.Match[str]) -> list[UUID]:
    """Return the newest orders whose id begins or ends with the digits; those after dots are an ending."""
    digits = part["digits"]
    ends = Q(Exact(ID_ENDING, digits[-8:])) if len(digits) in range(8, 13) else Q(pk__in=[])
    begins = Q(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    meant = ends if part["dots"] else ends | begins
    return list(Order.objects.filter(meant).order_by("-id").values_list("id", flat=True)[:MOST_FOUND])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def rows_of(orders: Sequence[Order]) -> list[Row]:
    """Return the rows for `orders`; the number of statements grows only with those that are under way."""
    progress = progress_of_orders(orders)
    return [_row(order, progress[order.id]) for order in orders]


def _row(order: Order, progress: Progress) -> Row:
    words = state_of(order, progress)
    return Row(
        id=order.public_id,
        href=href_of(order),
        reference=order.reference or "",
        customer=order.customer.name,
        items=_items(list(order.lines.all())),
        total=order.total,
        currency=order.currency,
        tone=words.tone,
        word=words.word,
        now=now_of(order, progress),
        percent=progress.percent,
        open=order.status not in FINAL,
        placed_at=order.placed_at,
    )


def state_of(order: Order, progress: Progress) -> Words:
    """Return the state in words: what waits for a person says so, whatever else it is; so does what waits for stock."""
    if order.status not in FINAL and progress.state == "needs_attention":
        return Words("attention", "Needs attention")
    if waits_for_stock(order, progress):
        return Words("waiting", "Waits for stock")
    return ORDER_WORDS[OrderStatus(order.status)]


def now_of(order: Order, progress: Progress) -> str:
    """Return what is going on, or how it ended, as a sentence."""
    match order.status:
        case OrderStatus.COMPLETED:
            return "Handed over and paid."
        case OrderStatus.REJECTED | OrderStatus.CANCELLED:
            return closed(order.reason) or "Everything is undone."
        case OrderStatus.CANCELLING:
            return f"Being undone. {closed(order.reason)}"
    if waits_for_bank(order):
        return "The customer must confirm with their bank."
    if not progress.awaiting:
        return ""
    return f"Waiting for {progress.awaiting}{_tries(progress)}."


def waits_for_bank(order: Order) -> bool:
    """Tell whether nothing goes on before the customer confirms the payment: nobody here can do anything."""
    return order.status == OrderStatus.PLACED and order.payment_status == PaymentStatus.REQUIRES_ACTION


def waits_for_stock(order: Order, progress: Progress) -> bool:
    """Tell whether nothing goes on before goods come in: the order goes on by itself then."""
    return (
        progress.state == "waiting"
        and order.fulfillment_status == FulfillmentStatus.BACKORDERED
        and any(step.name == "await_stock" and step.status == "waiting" for step in progress.steps)
    )


def closed(sentence: str) -> str:
    """Return the sentence with a full stop when it has no end."""
    return sentence if not sentence or sentence[-1] in ".!?" else f"{sentence}."


def _tries(progress: Progress) -> str:
    tried = max((step.attempts for step in progress.steps if step.status in ("running", "waiting")), default=1)
    return f" ({tried} tries so far)" if tried > 1 else ""


def href_of(order: Order) -> str:
    """Return the address of the order's page."""
    return reverse("staff:order", args=[order.public_id])


def _items(lines: Sequence[OrderLine]) -> str:
    if not lines:
        return ""
    first, more = f"{lines[0].name} \N{MULTIPLICATION SIGN} {lines[0].quantity}", len(lines) - 1
    return f"{first} and {more} more" if more else first


def held_consumers(now: datetime) -> dict[str, Held]:
    """Return the consumers whose outside system does not answer, or asked us to wait."""
    silent = Breaker.objects.filter(~Q(state="closed") | Q(throttled_until__gt=now))
    return {
        consumer: Held(
            breaker.destination, breaker.open_until or breaker.throttled_until, throttled=breaker.state == "closed"
        )
        for breaker in silent
        for consumer in breaker.consumers
    }


def chips(query: str, show: str) -> list[Chip]:
    """Return the filters, with what is searched for kept."""
    kept = {"q": query} if query else {}
    every = [("", "All", "")] + [(name, item.label, item.tone) for name, item in FILTERS.items()]
    return [
        Chip(label, f"?{urlencode({**kept, **({'show': name} if name else {})})}", tone, name == show)
        for name, label, tone in every
    ]
