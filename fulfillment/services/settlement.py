"""What follows for the order when one of its parcels has changed: the one place that draws conclusions.

Callers hold the consignment's lock and call `settle` after each change.
"""

from collections import Counter
from collections.abc import Mapping

from django.db.models.functions import Now

from fulfillment.commands import BookLabel
from fulfillment.events import (
    ShipmentCancellationRefused,
    ShipmentHandedOver,
    ShipmentsBooked,
    ShipmentsCancelled,
)
from fulfillment.models import Consignment, Shipment
from fulfillment.services.reservations import consume
from fulfillment.states import HOLDING, ConsignmentStatus, ShipmentStatus
from outbox.publishing import publish, require_unit_of_work, send

ALREADY_COLLECTED = "A parcel of this order has already been collected by the carrier."


def live_shipments(consignment: Consignment) -> list[Shipment]:
    """Return the order's parcels that left or may leave, oldest first."""
    return list(Shipment.objects.of(consignment.order_id).live())


@require_unit_of_work
def plan_shipments(*, consignment: Consignment) -> None:
    """Plan a parcel for each warehouse whose goods are in none, and ask for the label of every unbooked parcel."""
    live = live_shipments(consignment)
    packed = {shipment.warehouse_id for shipment in live}
    weights: Counter[str] = Counter()
    for reservation in consignment.reservations.allocated().exclude(warehouse_id__in=packed):
        weights[reservation.shelf] += reservation.quantity * reservation.weight_grams
    planned = [
        Shipment.objects.create(consignment=consignment, warehouse_id=warehouse, weight_grams=max(weight, 1))
        for warehouse, weight in sorted(weights.items())
    ]
    for shipment in (*live, *planned):
        if shipment.unbooked:
            send(BookLabel(shipment_id=shipment.id, order_id=consignment.order_id))


@require_unit_of_work
def settle(*, consignment: Consignment) -> None:
    """Move the consignment on when its parcels allow it, and tell the order."""
    if consignment.status in (ConsignmentStatus.BOOKING, ConsignmentStatus.REBOOKING):
        _settle_booking(consignment)
    elif consignment.status == ConsignmentStatus.CANCELLING:
        _settle_cancelling(consignment)
    if consignment.status == ConsignmentStatus.BOOKED and not consignment.reservations.allocated().exists():
        consignment.advance(ConsignmentStatus.SHIPPED)


def _settle_booking(consignment: Consignment) -> None:
    live = live_shipments(consignment)
    if any(shipment.unbooked for shipment in live):
        return
    if consignment.status == ConsignmentStatus.REBOOKING:
        refuse_cancellation(consignment=consignment)
    consignment.advance(ConsignmentStatus.BOOKED)
    publish(ShipmentsBooked(order_id=consignment.order_id, shipments=len(live)))


def _settle_cancelling(consignment: Consignment) -> None:
    live = live_shipments(consignment)
    if any(shipment.voidable for shipment in live):
        return
    if not live:
        consignment.advance(ConsignmentStatus.CANCELLED)
        publish(ShipmentsCancelled(order_id=consignment.order_id))
    else:
        rebook(consignment=consignment)


@require_unit_of_work
def rebook(*, consignment: Consignment) -> None:
    """Send the rest of an order after a parcel that has left: all of it arrives, or none."""
    if consignment.reservations.allocated().exists():
        consignment.advance(ConsignmentStatus.REBOOKING)
        plan_shipments(consignment=consignment)
    else:
        consignment.advance(ConsignmentStatus.BOOKED)
        refuse_cancellation(consignment=consignment)
        # The order may not know yet that everything was booked: the cancellation came in between.
        publish(ShipmentsBooked(order_id=consignment.order_id, shipments=len(live_shipments(consignment))))


@require_unit_of_work
def refuse_cancellation(*, consignment: Consignment) -> None:
    """Tell the order that its parcels are on their way."""
    publish(ShipmentCancellationRefused(order_id=consignment.order_id, reason=ALREADY_COLLECTED))


@require_unit_of_work
def hand_over(*, consignment: Consignment, shipment: Shipment, label: Mapping[str, str]) -> None:
    """The carrier has the parcel: take its goods off the books and tell the order.

    A parcel whose booking is not recorded yet was evidently booked; `label` has the columns that were learnt of it.
    """
    if shipment.status == ShipmentStatus.LABEL_PENDING:
        shipment.advance(ShipmentStatus.READY, **label)
    first = not consignment.reservations.consumed().exists()
    shipment.advance(ShipmentStatus.HANDED_OVER, handed_over_at=Now())
    consume(shipment=shipment)
    last = not consignment.reservations.filter(status__in=HOLDING).exists()
    publish(ShipmentHandedOver(shipment_id=shipment.id, order_id=consignment.order_id, first=first, last=last))
