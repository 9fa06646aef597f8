"""Reads of the orders domain that need joining or shaping."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db.models import Q

from fulfillment import facade as fulfillment
from orders.models import Order, OrderLine
from orders.representations import Delay, Progress, ProgressState, ProgressStep, StepState, TimelineEntry
from orders.sagas import CANCEL_ORDER, PLACE_ORDER, RETURN_ORDER, way
from orders.staff_words import destination_of
from orders.states import ORDER, FulfillmentStatus, OrderStatus
from outbox.models import Saga, SagaStatus, Transition
from outbox.sagas.progress import Delay as SagaDelay
from outbox.sagas.progress import Progress as SagaProgress
from outbox.sagas.progress import progress_of_many
from payments import facade as payments

MOST_NAMED = 3
"""Products that are named where an order waits for several."""
_FINAL: Mapping[str, ProgressState] = {
    OrderStatus.COMPLETED: "done",
    OrderStatus.REJECTED: "compensated",
    OrderStatus.CANCELLED: "compensated",
}


def parse_time(text: str) -> datetime:
    """Return the time in a cursor. Raises ValueError."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


def first_progress(order: Order) -> Progress:
    """Return the progress of an order that is being placed: without a statement, all is known."""
    first, steps = PLACE_ORDER.first_open(), []
    backordered = order.fulfillment_status == FulfillmentStatus.BACKORDERED
    for place, step in PLACE_ORDER.taken(way(route=order.route, backordered=backordered)):
        status: StepState = "done" if place < first else "running" if place == first else "pending"
        begun = order.placed_at if place <= first else None
        steps.append(
            ProgressStep(
                name=step.name,
                label=step.label,
                status=status,
                started_at=begun,
                finished_at=begun if status == "done" else None,
                attempts=1 if place <= first else 0,
            )
        )
    percent = round(100 * first / len(steps))
    awaiting = PLACE_ORDER.steps[first].awaiting
    return Progress(state="in_progress", percent=percent, awaiting=awaiting, next_attempt_at=None, steps=steps)


def progress_of_orders(orders: Sequence[Order]) -> dict[UUID, Progress]:
    """Return the progress of each order; the number of statements does not depend on how many there are."""
    ids = [order.id for order in orders]
    rows = list(Saga.objects.filter(definition__in=[PLACE_ORDER.name, CANCEL_ORDER.name], key__in=ids))
    shaped = progress_of_many(rows)
    placing = {row.key: row for row in rows if row.definition == PLACE_ORDER.name}
    undoing = {row.key: shaped[row.id] for row in rows if row.definition == CANCEL_ORDER.name}
    resting = {key for key, row in placing.items() if row.status == SagaStatus.SUSPENDED and key in undoing}
    own = {key: shaped[row.id] for key, row in placing.items()}
    own |= _waiting_for_stock({key: saga for key, saga in own.items() if key not in resting})
    return {
        order.id: _progress(order, own[order.id], (undoing if order.id in resting else own)[order.id])
        for order in orders
    }


def _waiting_for_stock(sagas: Mapping[UUID, SagaProgress]) -> dict[UUID, SagaProgress]:
    """Return, of orders that can only wait for stock, the progress that says so and names what they wait for."""
    waiting = {key: saga for key, saga in sagas.items() if saga.state == "in_progress" and _awaits_stock(saga)}
    if not waiting:
        return {}
    lines = fulfillment.awaited(waiting)
    names = OrderLine.objects.in_bulk([line_id for of_order in lines.values() for line_id in of_order])
    return {
        key: replace(
            saga,
            state="waiting",
            awaiting=f"stock{_of([names[line_id] for line_id in lines.get(key, ())])}",
            steps=[replace(step, status="waiting") if step.status == "running" else step for step in saga.steps],
        )
        for key, saga in waiting.items()
    }


def _awaits_stock(saga: SagaProgress) -> bool:
    return any(step.name == "await_stock" and step.status == "running" for step in saga.steps)


def _of(lines: Sequence[OrderLine]) -> str:
    """Return ` of A`, ` of A and B`, ` of A, B and 2 more products`; nothing when nothing is missing any more."""
    names = [line.name for line in sorted(lines, key=lambda line: line.position)]
    if len(names) > MOST_NAMED:
        return f" of {', '.join(names[:2])} and {len(names) - 2} more products"
    return f" of {' and '.join(filter(None, [', '.join(names[:-1]), names[-1]]))}" if names else ""


def _progress(order: Order, saga: SagaProgress, under_way: SagaProgress) -> Progress:
    """Return the steps of `saga`, and what `under_way` waits for: the cancellation while the order's own saga rests."""
    return _shown(saga, under_way, _FINAL.get(order.status))


def progress_of_returns(ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Return the progress of each return; the number of statements does not depend on how many there are."""
    rows = list(Saga.objects.filter(definition=RETURN_ORDER.name, key__in=ids))
    shaped = progress_of_many(rows) if rows else {}
    return {row.key: _shown(shaped[row.id], shaped[row.id], None) for row in rows}


def _shown(saga: SagaProgress, under_way: SagaProgress, final: ProgressState | None) -> Progress:
    state = under_way.state if under_way.state == "needs_attention" else saga.state
    return Progress(
        state=final or cast("ProgressState", state),
        percent=100 if final else saga.percent,
        awaiting=None if final else under_way.awaiting,
        next_attempt_at=None if final else under_way.next_attempt_at,
        delay=None if final or under_way.delay is None else _delay(under_way.delay),
        steps=[
            ProgressStep(
                name=step.name,
                label=step.label,
                status=cast("StepState", step.status),
                started_at=step.started_at,
                finished_at=step.finished_at,
                attempts=step.attempts,
            )
            for step in saga.steps
        ],
    )


def _delay(delay: SagaDelay) -> Delay:
    if not delay.destination:
        detail = "More work is waiting than usual. Yours keeps its place, and is done as soon as its turn comes."
        return Delay(code="backlog", detail=detail, since=delay.since)
    detail = f"{destination_of(delay.destination)} does not answer. It is asked again until it does."
    return Delay(code="provider_unavailable", detail=detail, since=delay.since)


_TOLD = {
    ("order", "placed"): "The order was placed and its stock reserved.",
    ("order", "confirmed"): "The order is confirmed: the money is held and the goods are set aside.",
    ("order", "completed"): "The order is complete: everything is handed over and paid.",
    ("order", "rejected"): "The order was rejected.",
    ("order", "cancelling"): "Cancelling began.",
    ("order", "cancelled"): "The order is cancelled; nothing is held or taken.",
    ("order", "on_hold"): "The order is on hold.",
    ("payment", "created"): "The payment was noted.",
    ("payment", "authorising"): "The payment provider was asked to hold the amount.",
    ("payment", "requires_action"): "The payment needs the buyer's confirmation.",
    ("payment", "authorised"): "The amount is held.",
    ("payment", "partially_captured"): "A part of the amount was taken.",
    ("payment", "captured"): "The amount was taken.",
    ("payment", "partially_refunded"): "A part of the amount was paid back.",
    ("payment", "refunded"): "The amount was paid back.",
    ("payment", "declined"): "The payment was declined.",
    ("payment", "voided"): "The hold on the amount was lifted.",
    ("payment", "expired"): "The hold on the amount ran out.",
    ("shipment", "planned"): "A parcel was planned.",
    ("shipment", "label_pending"): "The carrier was asked to collect a parcel.",
    ("shipment", "ready"): "A parcel is packed and labelled.",
    ("shipment", "handed_over"): "The carrier collected a parcel.",
    ("shipment", "in_transit"): "A parcel is on its way.",
    ("shipment", "delivered"): "A parcel was delivered.",
    ("shipment", "voided"): "A parcel was called off.",
    ("shipment", "failed"): "The carrier refused a parcel.",
    ("shipment", "exception"): "The carrier reports a problem with a parcel.",
    ("shipment", "lost"): "A parcel was lost.",
    ("shipment", "returned"): "A parcel came back.",
    ("return", "requested"): "A return was asked for.",
    ("return", "approved"): "The return is approved: the goods may be sent.",
    ("return", "rejected"): "The return was rejected; nothing is paid back.",
    ("return", "received"): "The returned goods have arrived.",
    ("return", "inspected"): "The returned goods were inspected.",
    ("return", "refund_granted"): "The refund of the return is granted.",
    ("return", "closed"): "The return is closed: it is paid back.",
    ("consignment", "backordered"): "Not everything is in stock. What is there is reserved, the rest is waited for.",
    ("consignment", "reserved"): "Everything the order waited for is in stock and reserved.",
}
_BACK = "The order goes on."


def timeline_of(order: Order) -> list[TimelineEntry]:
    """Return everything that happened to the order, its money and its goods, oldest first."""
    ids = [
        order.id,
        *(payment.id for payment in payments.payments_of(order.id)),
        *(shipment.id for shipment in fulfillment.shipments_of(order.id)),
        *(returned.id for returned in fulfillment.returns_of(order.id)),
    ]
    told = Q(entity_id__in=ids, machine__in=["order", "payment", "shipment", "return"])
    waited = Q(entity_id=fulfillment.consignment_id(order.id), machine="consignment") & (
        Q(from_state="", to_state="backordered") | Q(from_state="backordered", to_state="reserved")
    )
    happened = list(Transition.objects.filter(told | waited).order_by("at", "id"))
    backordered = any(row.machine == "consignment" for row in happened)
    return [_told(row, order, backordered=backordered) for row in happened]


def _told(row: Transition, order: Order, *, backordered: bool) -> TimelineEntry:
    words = _TOLD.get((row.machine, row.to_state), f"The {row.machine} is {row.to_state.replace('_', ' ')}.")
    if backordered and (row.machine, row.to_state, row.from_state) == ("order", "placed", ""):
        words = "The order was placed."
    if row.machine == "order" and row.from_state in ("cancelling", "on_hold") and not _ends(row.to_state):
        words = _BACK
    if row.machine == "order" and row.to_state in ("rejected", "cancelling", "on_hold") and order.reason:
        words = f"{words} {order.reason}"
    return TimelineEntry(at=row.at, type=f"{row.machine}.{row.to_state}", description=words)


def _ends(state: str) -> bool:
    return ORDER.is_final(state) or state == OrderStatus.CANCELLING
