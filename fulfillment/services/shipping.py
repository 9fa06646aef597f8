"""Booking the labels of an order's parcels."""

from uuid import UUID

from django.db.models.functions import Coalesce, Now

from fulfillment.carriers.base import Label, LabelRefused, LabelRequest
from fulfillment.commands import VoidLabel
from fulfillment.errors import ContradictoryCarrier, NothingReserved, StockNotAllocated
from fulfillment.events import ShipmentBookingFailed, ShipmentsBooked
from fulfillment.models import Consignment, Shipment
from fulfillment.references import order_reference, shipment_reference
from fulfillment.services.settlement import live_shipments, plan_shipments, refuse_cancellation, settle
from fulfillment.states import ConsignmentStatus, ShipmentStatus
from outbox.publishing import publish, require_unit_of_work, send

CANCELLED = ("shipments_cancelled", "The order's parcels were cancelled before they could be booked.")


@require_unit_of_work
def book_shipments(*, order_id: UUID) -> None:
    """Plan the order's parcels and ask for their labels; repeated, answer again what came of it.

    Raises NothingReserved, StockNotAllocated.
    """
    consignment = Consignment.locked(order_id)
    if consignment is None:
        raise NothingReserved(f"Order {order_id} has reserved nothing that could be shipped.")
    match consignment.status:
        case ConsignmentStatus.BACKORDERED:
            raise StockNotAllocated(f"Order {order_id} still waits for stock.")
        case ConsignmentStatus.RESERVED:
            raise StockNotAllocated(f"Order {order_id} holds its stock for a time only; allocate it first.")
        case ConsignmentStatus.ALLOCATED:
            consignment.advance(ConsignmentStatus.BOOKING)
            plan_shipments(consignment=consignment)
        case ConsignmentStatus.BOOKED | ConsignmentStatus.SHIPPED:
            publish(ShipmentsBooked(order_id=order_id, shipments=len(live_shipments(consignment))))
        case ConsignmentStatus.FAILED:
            _tell_failure(consignment, consignment.failure_code, consignment.failure_reason)
        case ConsignmentStatus.CANCELLING | ConsignmentStatus.CANCELLED | ConsignmentStatus.RELEASED:
            _tell_failure(consignment, *CANCELLED)


def _tell_failure(consignment: Consignment, code: str, reason: str) -> None:
    publish(ShipmentBookingFailed(order_id=consignment.order_id, code=code, reason=reason))


def locked_shipment(order_id: UUID, shipment_id: UUID) -> tuple[Consignment, Shipment]:
    """Return a parcel and its consignment under the consignment's lock. Raises NothingReserved."""
    consignment = Consignment.locked(order_id)
    shipment = Shipment.objects.of(order_id).filter(id=shipment_id).first()
    if consignment is None or shipment is None:
        raise NothingReserved(f"Order {order_id} has no parcel {shipment_id}.")
    return consignment, shipment


def label_request(consignment: Consignment, shipment: Shipment) -> LabelRequest:
    """Return what the carrier has to know of a parcel: the same at each attempt."""
    return LabelRequest(
        shipment=shipment_reference(shipment.id),
        order=order_reference(shipment.order_id),
        warehouse=shipment.warehouse_id,
        recipient=consignment.ship_to,
        weight_grams=shipment.weight_grams,
        idempotency_key=f"label:{shipment.id}",
    )


@require_unit_of_work
def begin_booking(*, order_id: UUID, shipment_id: UUID) -> tuple[LabelRequest, bool] | None:
    """Note that a booking call begins; return the request, and whether the carrier may have a label already.

    None when no call is to be made: the parcel is booked, or will not leave. From the moment a parcel is to be taken
    back no booking starts; VoidLabel finds out what became of the earlier ones.
    """
    consignment, shipment = locked_shipment(order_id, shipment_id)
    wanted = consignment.status in (ConsignmentStatus.BOOKING, ConsignmentStatus.REBOOKING)
    if not wanted or not shipment.unbooked or shipment.void_requested_at:
        shipment.note(call_started_at=None)  # an earlier call of this delivery is over, or it would not be here
        return None
    repeated = shipment.label_requested_at is not None
    if shipment.status == ShipmentStatus.PLANNED:
        shipment.advance(ShipmentStatus.LABEL_PENDING)
    shipment.note(label_requested_at=Coalesce("label_requested_at", Now()), call_started_at=Now())
    return label_request(consignment, shipment), repeated


@require_unit_of_work
def label_booked(*, order_id: UUID, shipment_id: UUID, label: Label) -> None:
    """Keep the label of a parcel; one that is to be taken back is voided at once. Raises ContradictoryCarrier."""
    consignment, shipment = locked_shipment(order_id, shipment_id)
    if shipment.dead:
        raise ContradictoryCarrier(f"The carrier gave label {label.id} to parcel {shipment_id}, which is cancelled.")
    kept = {
        "label_id": label.id,
        "tracking_number": label.tracking_number,
        "label_url": label.url,
        "call_started_at": None,
    }
    if shipment.status == ShipmentStatus.LABEL_PENDING:
        shipment.advance(ShipmentStatus.READY, **kept)
    else:
        shipment.note(**kept)
    if shipment.void_requested_at and shipment.voidable:
        send(VoidLabel(shipment_id=shipment_id, order_id=order_id))
    settle(consignment=consignment)


@require_unit_of_work
def label_refused(*, order_id: UUID, shipment_id: UUID, refusal: LabelRefused) -> None:
    """The carrier will never take the parcel: it ends, and the order hears of the first such parcel."""
    consignment, shipment = locked_shipment(order_id, shipment_id)
    if shipment.status != ShipmentStatus.LABEL_PENDING:
        return
    shipment.advance(
        ShipmentStatus.FAILED,
        failure_code=refusal.code,
        failure_reason=refusal.reason,
        label_requested_at=None,
        call_started_at=None,
    )
    fail_booking(consignment=consignment, code=refusal.code, reason=refusal.reason)
    settle(consignment=consignment)


@require_unit_of_work
def booking_attempt_failed(*, order_id: UUID, shipment_id: UUID, repeated: bool, unknown: bool) -> None:
    """The call is over without an answer. Unless it is `unknown` whether it came through, it changed nothing."""
    _, shipment = locked_shipment(order_id, shipment_id)
    if shipment.status == ShipmentStatus.LABEL_PENDING:
        reached = unknown or repeated
        shipment.note(call_started_at=None, **({} if reached else {"label_requested_at": None}))


@require_unit_of_work
def booking_given_up(*, order_id: UUID, code: str, reason: str) -> None:
    """No further attempt will be made to book a parcel of this order."""
    consignment = Consignment.locked(order_id)
    if consignment is not None:
        fail_booking(consignment=consignment, code=code, reason=reason)


@require_unit_of_work
def fail_booking(*, consignment: Consignment, code: str, reason: str) -> None:
    """Tell the order, once, that it cannot be shipped whole."""
    if consignment.status == ConsignmentStatus.REBOOKING:
        consignment.advance(ConsignmentStatus.FAILED, failure_code=code, failure_reason=reason)
        refuse_cancellation(consignment=consignment)
    elif consignment.status == ConsignmentStatus.BOOKING:
        consignment.advance(ConsignmentStatus.FAILED, failure_code=code, failure_reason=reason)
        _tell_failure(consignment, code, reason)
