"""Reads of the orders domain that need joining or shaping."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from fulfillment import facade as fulfillment
from orders.models import Order
from orders.representations import Progress, ProgressState, ProgressStep, StepState, TimelineEntry
from orders.sagas import CANCEL_ORDER, PLACE_ORDER
from orders.states import ORDER, OrderStatus
from outbox.models import Saga, SagaStatus, Transition
from outbox.sagas.progress import Progress as SagaProgress
from outbox.sagas.progress import progress_of_many
from payments import facade as payments

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
    for place, step in PLACE_ORDER.taken({"route": order.route}):
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
    return {
        order.id: _progress(order, own[order.id], (undoing if order.id in resting else own)[order.id])
        for order in orders
    }


def _progress(order: Order, saga: SagaProgress, under_way: SagaProgress) -> Progress:
    """Return the steps of `saga`, and what `under_way` waits for: the cancellation while the order's own saga rests."""
    final = _FINAL.get(order.status)
    state = under_way.state if under_way.state == "needs_attention" else saga.state
    return Progress(
        state=final or cast("ProgressState", state),
        percent=100 if final else saga.percent,
        awaiting=None if final else under_way.awaiting,
        next_attempt_at=None if final else under_way.next_attempt_at,
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
}
_BACK = "The order goes on."


def timeline_of(order: Order) -> list[TimelineEntry]:
    """Return everything that happened to the order, its money and its goods, oldest first."""
    ids = [
        order.id,
        *(payment.id for payment in payments.payments_of(order.id)),
        *(shipment.id for shipment in fulfillment.shipments_of(order.id)),
    ]
    happened = Transition.objects.filter(entity_id__in=ids, machine__in=["order", "payment", "shipment"]).order_by(
        "at", "id"
    )
    return [_told(row, order) for row in happened]


def _told(row: Transition, order: Order) -> TimelineEntry:
    words = _TOLD.get((row.machine, row.to_state), f"The {row.machine} is {row.to_state.replace('_', ' ')}.")
    if row.machine == "order" and row.from_state in ("cancelling", "on_hold") and not _ends(row.to_state):
        words = _BACK
    if row.machine == "order" and row.to_state in ("rejected", "cancelling", "on_hold") and order.reason:
        words = f"{words} {order.reason}"
    return TimelineEntry(at=row.at, type=f"{row.machine}.{row.to_state}", description=words)


def _ends(state: str) -> bool:
    return ORDER.is_final(state) or state == OrderStatus.CANCELLING
