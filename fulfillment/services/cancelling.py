"""Taking parcels back: all of an order, or none."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from fulfillment.carriers.base import Label, LabelRequest
from fulfillment.commands import VoidLabel
from fulfillment.events import ShipmentsCancelled
from fulfillment.models import Consignment, Shipment
from fulfillment.services.backorders import stop_waiting
from fulfillment.services.settlement import hand_over, live_shipments, rebook, refuse_cancellation, settle
from fulfillment.services.shipping import label_request, locked_shipment
from fulfillment.states import ConsignmentStatus, ShipmentStatus
from outbox.outcomes import NotDone, snooze
from outbox.publishing import publish, require_unit_of_work, send

CALL_BOUND = timedelta(seconds=60)
"""A booking call that began longer ago is over, also when its worker died: each request is given up after 10 s."""
RECHECK = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class VoidPlan:
    """How to make sure that the carrier does not take a parcel."""

    label_id: str | None
    request: LabelRequest
    """What to find the label by, or to ask for it again with, when its id is not known."""


@require_unit_of_work
def cancel_shipments(*, order_id: UUID, reason: str) -> None:
    """Begin to take every parcel back; from now on none is booked. Repeated, answer again what came of it."""
    consignment = Consignment.locked(order_id)
    if consignment is None:
        publish(ShipmentsCancelled(order_id=order_id))
        return
    match consignment.status:
        case ConsignmentStatus.BACKORDERED:
            stop_waiting(consignment=consignment)
            consignment.advance(ConsignmentStatus.CANCELLED, cancellation_reason=reason)
            publish(ShipmentsCancelled(order_id=order_id))
        case ConsignmentStatus.RESERVED | ConsignmentStatus.ALLOCATED:
            consignment.advance(ConsignmentStatus.CANCELLED, cancellation_reason=reason)
            publish(ShipmentsCancelled(order_id=order_id))
        case ConsignmentStatus.CANCELLED | ConsignmentStatus.RELEASED:
            publish(ShipmentsCancelled(order_id=order_id))
        case ConsignmentStatus.SHIPPED:
            refuse_cancellation(consignment=consignment)
        case ConsignmentStatus.BOOKING | ConsignmentStatus.BOOKED | ConsignmentStatus.FAILED:
            _take_back(consignment, reason)


def _take_back(consignment: Consignment, reason: str) -> None:
    live = live_shipments(consignment)
    if any(shipment.gone for shipment in live):
        if consignment.status == ConsignmentStatus.FAILED:
            rebook(consignment=consignment)
        else:
            refuse_cancellation(consignment=consignment)
        return
    for shipment in live:
        _request_void(shipment)
    if all(shipment.dead for shipment in live):
        consignment.advance(ConsignmentStatus.CANCELLED, cancellation_reason=reason)
        publish(ShipmentsCancelled(order_id=consignment.order_id))
    else:
        consignment.advance(ConsignmentStatus.CANCELLING, cancellation_reason=reason)


def _request_void(shipment: Shipment) -> None:
    if shipment.status == ShipmentStatus.PLANNED:
        shipment.advance(ShipmentStatus.VOIDED)
    else:
        shipment.note(void_requested_at=Now())
        send(VoidLabel(shipment_id=shipment.id, order_id=shipment.order_id))


@require_unit_of_work
def begin_void(*, order_id: UUID, shipment_id: UUID) -> VoidPlan | NotDone | None:
    """Return how to take a parcel back, or None when nothing is left to do.

    It is snoozed while a booking call is under way: what that brings decides what there is to void.
    """
    consignment, shipment = locked_shipment(order_id, shipment_id)
    if not shipment.voidable or not shipment.void_requested_at:
        return None
    if shipment.status == ShipmentStatus.READY:
        return VoidPlan(shipment.label_id, label_request(consignment, shipment))
    if Shipment.objects.filter(id=shipment_id, call_started_at__gt=Now() - CALL_BOUND).exists():
        return snooze(RECHECK, "the parcel's label is being booked")
    if shipment.label_requested_at is None:
        shipment.advance(ShipmentStatus.VOIDED)
        settle(consignment=consignment)
        return None
    return VoidPlan(None, label_request(consignment, shipment))


@require_unit_of_work
def label_voided(*, order_id: UUID, shipment_id: UUID, label: Label | None) -> None:
    """The carrier will not take the parcel. `label` is what a lookup brought, where no label was known."""
    consignment, shipment = locked_shipment(order_id, shipment_id)
    if shipment.voidable:
        shipment.advance(ShipmentStatus.VOIDED, call_started_at=None, **_kept(label))
        settle(consignment=consignment)


@require_unit_of_work
def void_came_too_late(*, order_id: UUID, shipment_id: UUID, label: Label | None) -> None:
    """The carrier has the parcel: the collection wins, whether its callback came already or not."""
    consignment, shipment = locked_shipment(order_id, shipment_id)
    if shipment.voidable:
        hand_over(consignment=consignment, shipment=shipment, label=_kept(label))
        settle(consignment=consignment)


def _kept(label: Label | None) -> dict[str, str]:
    if label is None:
        return {}
    return {"label_id": label.id, "tracking_number": label.tracking_number, "label_url": label.url}
