"""One order's page: everything that is known about it, read in a bounded number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from fulfillment import facade as fulfillment
from orders.console_links import console_item
from orders.models import Order, OrderLine
from orders.public_ids import SHIPMENT, public_id
from orders.representations import Progress
from orders.return_pages import Row, rows_of_order
from orders.sagas import CANCEL_ORDER, PLACE_ORDER
from orders.selectors import progress_of_orders
from orders.staff_forgotten import forgotten_months, in_words, remembered
from orders.staff_selectors import (
    FINAL,
    closed,
    held_consumers,
    href_of,
    now_of,
    state_of,
    waits_for_bank,
    waits_for_stock,
)
from orders.staff_story import Entry, Node, Rows, story_of, tree_of
from orders.staff_time import Spent, spent_of
from orders.staff_words import GOODS, STEP, Words, attempts_in_words, method_of, plain_name
from orders.staff_words import PAYMENT as PAYMENT_WORDS
from orders.staff_words import SHIPMENT as SHIPMENT_WORDS
from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus, Route
from outbox.consumers import all_consumers
from outbox.models import Attempt, AuditEntry, Delivery, Message, Receipt, Saga
from outbox.operations import DISCARD, RETRY
from outbox.sagas.progress import Progress as SagaProgress
from outbox.sagas.progress import StepProgress, progress_of
from payments import facade as payments

MOST_MESSAGES = 500
"""Messages shown on one page; an order has some dozens."""
OPERATIONS = (RETRY, DISCARD)
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far apart the clocks of two machines may be."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a saga."""

    label: str
    tone: str
    words: str
    current: bool


@dataclass(frozen=True, slots=True)
class Track:
    """A saga on the page. The order's own has no title."""

    title: str
    steps: Sequence[StepLine]


@dataclass(frozen=True, slots=True)
class MoneyBox:
    """The money of the order."""

    tone: str
    word: str
    note: str
    authorised: Decimal
    captured: Decimal
    refunded: Decimal
    method: str
    provider_reference: str

    @property
    def balance(self) -> Decimal:
        """What was taken and not paid back."""
        return self.captured - self.refunded


@dataclass(frozen=True, slots=True)
class Parcel:
    """One shipment."""

    id: str
    warehouse: str
    tone: str
    word: str
    tracking: str
    note: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps the order from going on, and where it can be mended."""

    tone: str
    title: str
    text: str
    href: str
    link: str


@dataclass(frozen=True, slots=True)
class CaseFile:
    """Everything on the page."""

    id: str
    href: str
    status: str
    version: int
    customer: str
    customer_href: str
    email: str
    reference: str
    tone: str
    word: str
    now: str
    next_attempt_at: datetime | None
    open: bool
    reviewable: bool
    problem: Problem | None
    tracks: Sequence[Track]
    forgotten: str
    """Which part of its history is no longer kept, in words; empty when all of it is."""
    spent: Spent | None
    """None when it is not known any more."""
    story: Sequence[Entry]
    tree: Sequence[Node]
    message_count: int
    lines: Sequence[OrderLine]
    total: Decimal
    currency: str
    money: MoneyBox
    goods: Words
    shipments: Sequence[Parcel]
    returns: Sequence[Row]
    address: Sequence[str]
    placed_at: datetime
    route: str
    correlation_id: UUID
    metadata: Sequence[tuple[str, str]]


def case_file(order: Order) -> CaseFile:
    """Return the page of `order`, as it is now."""
    now = timezone.now()
    progress = progress_of_orders([order])[order.id]
    paid = payments.payments_of(order.id)
    parcels = fulfillment.shipments_of(order.id)
    returned = fulfillment.returns_of(order.id)
    keys = [order.id, *(each.id for each in returned)]
    sagas = list(Saga.objects.filter(key__in=keys).order_by("started_at").prefetch_related("steps"))
    things = [*keys, *(payment.id for payment in paid), *(parcel.id for parcel in parcels)]
    rows = _rows(order, sagas, things, now)
    final = order.status in FINAL
    words = state_of(order, progress)
    end = max(_end(order, sagas), order.placed_at) if final else now
    forgotten = forgotten_months(order, end)
    return CaseFile(
        id=order.public_id,
        href=href_of(order),
        status=order.status,
        version=order.version,
        customer=order.customer.name,
        customer_href=f"{reverse('staff:orders')}?q={order.customer.public_id}",
        email=order.customer.email,
        reference=order.reference or "",
        tone=words.tone,
        word=words.word,
        now=now_of(order, progress),
        next_attempt_at=progress.next_attempt_at,
        open=not final,
        reviewable=order.status == OrderStatus.ON_HOLD and order.reason_code == "review",
        problem=_problem(order, progress, rows, sagas),
        tracks=_tracks(progress, sagas),
        forgotten=in_words(forgotten),
        spent=None if forgotten else spent_of(rows, start=order.placed_at, end=end),
        story=_story(order, rows, remembered(order, forgotten)),
        tree=tree_of(rows),
        message_count=len(rows.messages),
        lines=list(order.lines.all()),
        total=order.total,
        currency=order.currency,
        money=_money(order, paid),
        goods=GOODS[FulfillmentStatus(order.fulfillment_status)],
        shipments=[_parcel(parcel) for parcel in parcels],
        returns=rows_of_order(order, returned),
        address=_address(order.shipping_address),
        placed_at=order.placed_at,
        route=Route(order.route).label,
        correlation_id=order.correlation_id,
        metadata=[(str(key), str(value)) for key, value in order.metadata.items()],
    )


def _story(order: Order, rows: Rows, told: Sequence[Entry]) -> list[Entry]:
    return story_of(rows, placed_at=order.placed_at, placed_by=order.customer.name, remembered=told)


def _rows(order: Order, sagas: Sequence[Saga], things: Sequence[UUID], now: datetime) -> Rows:
    """Read what the engine knows: by the conversations the order was part of, and by the things it consists of."""
    conversations = {order.correlation_id, *(saga.correlation_id for saga in sagas)}
    about = Q(correlation_id__in=conversations) | Q(aggregate_id__in=things)
    messages = list(Message.objects.filter(about).order_by("id")[:MOST_MESSAGES])
    ids = [message.id for message in messages]
    attempts = list(Attempt.objects.filter(message_id__in=ids).order_by("id"))
    return Rows(
        now=now,
        messages=messages,
        receipts=list(Receipt.objects.filter(message_id__in=ids).order_by("finished_at")),
        attempts=attempts,
        deliveries=list(Delivery.objects.filter(message_id__in=ids).order_by("id")),
        audit=[
            *AuditEntry.objects.filter(subject=order.public_id).order_by("id"),
            *_operations(messages, attempts),
        ],
        held=held_consumers(now),
        external=frozenset(consumer.name for consumer in all_consumers() if consumer.external),
    )


def _operations(messages: Sequence[Message], attempts: Sequence[Attempt]) -> list[AuditEntry]:
    """Return what operators did to dead letters among `messages`.

    Each died of a failed attempt, and ids of audit entries begin with their time: only the entries since are looked at.
    """
    if not attempts:
        return []
    since = UUID(int=int((attempts[0].at - CLOCKS_DIFFER).timestamp() * 1000) << 80)
    ids = [str(message.id) for message in messages]
    entries = AuditEntry.objects.filter(id__gte=since, action__in=OPERATIONS, before__message_id__in=ids)
    return list(entries.order_by("id"))


def _end(order: Order, sagas: Sequence[Saga]) -> datetime:
    """Return when the order ended: what is told of it afterwards, such as a delivery, does not count."""
    own = (PLACE_ORDER.name, CANCEL_ORDER.name)
    ended = [saga.finished_at for saga in sagas if saga.finished_at and saga.definition in own]
    return max(ended, default=order.updated_at)


def _tracks(progress: Progress, sagas: Sequence[Saga]) -> list[Track]:
    own = [_step(step.label, step.status, step.finished_at, step.attempts) for step in progress.steps]
    others = [saga for saga in sagas if saga.definition != PLACE_ORDER.name]
    return [Track("", own), *(_track(saga, progress_of(saga)) for saga in others)]


def _track(saga: Saga, progress: SagaProgress) -> Track:
    return Track(plain_name(saga.definition), [_saga_step(step) for step in progress.steps])


def _saga_step(step: StepProgress) -> StepLine:
    return _step(step.label, step.status, step.finished_at, step.attempts)


def _step(label: str, status: str, finished_at: datetime | None, attempts: int) -> StepLine:
    words = STEP[status]
    said = words.word
    if finished_at:
        said = f"{finished_at:%H:%M:%S}" if status == "done" else f"{words.word} {finished_at:%H:%M:%S}"
    if status in ("running", "waiting") and attempts > 1:
        said = f"{words.word}, try {attempts}"
    return StepLine(label, words.tone, said, status in ("running", "waiting", "compensating", "needs_attention"))


def _money(order: Order, paid: Sequence[payments.PaymentView]) -> MoneyBox:
    words = PAYMENT_WORDS[PaymentStatus(order.payment_status)]
    last = paid[-1] if paid else None
    return MoneyBox(
        tone=words.tone,
        word=words.word,
        note=last.decline_reason if last else "",
        authorised=sum((payment.authorised_amount for payment in paid), Decimal(0)),
        captured=sum((payment.captured_amount for payment in paid), Decimal(0)),
        refunded=sum((payment.refunded_amount for payment in paid), Decimal(0)),
        method=method_of(order.payment_method),
        provider_reference=(last.provider_reference if last else None) or "",
    )


def _parcel(shipment: fulfillment.ShipmentView) -> Parcel:
    words = SHIPMENT_WORDS[shipment.status]
    return Parcel(
        public_id(SHIPMENT, shipment.id),
        shipment.warehouse,
        words.tone,
        words.word,
        shipment.tracking_number,
        shipment.failure_reason,
    )


def _address(address: dict[str, str | None]) -> list[str]:
    town = " ".join(filter(None, [address.get("postal_code"), address.get("city")]))
    parts = [address.get("name"), address.get("line1"), address.get("line2"), town]
    return [part for part in [*parts, address.get("region"), address.get("country")] if part]


def _problem(order: Order, progress: Progress, rows: Rows, sagas: Sequence[Saga]) -> Problem | None:
    for delivery in rows.deliveries:
        if delivery.state == "dead":
            href = console_item("deadletter", delivery.id)
            title = f"“{delivery.consumer}” gave up after {attempts_in_words(delivery.attempts)}."
            text = f"{closed(delivery.last_error)} {_ways_out(order)}".strip()
            return Problem("attention", title, text, href, "Retry or discard it in the console")
    for saga in sagas:
        if saga.status in ("forward_stuck", "compensation_stuck"):
            href = console_item("saga", saga.id)
            return Problem("attention", "The order is stuck.", saga.reason, href, "Decide in the console")
    if waits_for_bank(order):
        text = "The order goes on by itself when they do; nothing is to be done here."
        return Problem("waiting", "The customer must confirm with their bank.", text, "", "")
    if waits_for_stock(order, progress):
        return Problem("waiting", "The order waits for stock.", _patience(sagas), "", "")
    return None


def _patience(sagas: Sequence[Saga]) -> str:
    """Return what becomes of an order that waits for stock."""
    until = next((saga.deadline_at for saga in sagas if saga.definition == PLACE_ORDER.name), None)
    by = f" by {until:%d %b, %H:%M} UTC" if until else ""
    return (
        "It goes on by itself when enough comes in; who came first is served first. "
        f"If it does not come{by}, the order is cancelled, and the customer reads why."
    )


def _ways_out(order: Order) -> str:
    if cancel_refusal(order):
        return "Mend the cause, then retry the message in the console."
    return "Mend the cause, then retry the message in the console; or cancel the order."


def cancel_refusal(order: Order) -> str:
    """Return why the order's state does not allow cancelling; an empty string when it may be tried."""
    match order.status:
        case OrderStatus.COMPLETED:
            return "It is completed; the goods would have to come back as a return."
        case OrderStatus.REJECTED:
            return "It was rejected; there is nothing to cancel."
        case OrderStatus.CANCELLING | OrderStatus.CANCELLED:
            return "It is being cancelled already." if order.status == OrderStatus.CANCELLING else "It is cancelled."
    if order.fulfillment_status in (
        FulfillmentStatus.PARTIALLY_SHIPPED,
        FulfillmentStatus.SHIPPED,
        FulfillmentStatus.DELIVERED,
    ):
        return "A parcel is on its way; the goods would have to come back as a return."
    return ""


def cancel_plan(file: CaseFile) -> list[str]:
    """Return what cancelling the order would do, as it is now."""
    pieces = sum(line.quantity for line in file.lines)
    plan = ["No further step of the order is started."]
    if live := [parcel for parcel in file.shipments if parcel.word not in ("Voided", "Refused by the carrier")]:
        plan.append(f"{len(live)} parcel{'s' if len(live) > 1 else ''} called off at the carrier.")
    if file.money.captured:
        plan.append("The captured money is paid back.")
    else:
        plan.append("The payment is stopped or its hold lifted; nothing is charged.")
    if file.goods is GOODS[FulfillmentStatus.BACKORDERED]:
        plan.append("What is set aside for it goes to the next who waits, or back into stock.")
    else:
        plan.append(f"{pieces} piece{'s go' if pieces > 1 else ' goes'} back into stock.")
    plan.append("If a parcel is collected before it can be called off, the order goes on and the page says so.")
    return plan
