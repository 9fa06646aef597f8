"""Following parcels by what the carrier reports. Duplicates and disorder are normal: parcels move forward only."""

from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from fulfillment.commands import FollowParcel
from fulfillment.errors import ContradictoryCarrier
from fulfillment.events import ShipmentDelivered, ShipmentException
from fulfillment.models import CarrierCallback, Consignment, Shipment
from fulfillment.services.settlement import hand_over, live_shipments, settle
from fulfillment.services.shipping import locked_shipment
from fulfillment.states import DEAD, HOLDING, ShipmentStatus
from fulfillment.values import ParcelReport
from outbox.context import scope
from outbox.publishing import conversation_of, publish, require_unit_of_work, send

REPORTS = {
    "parcel.collected": ShipmentStatus.HANDED_OVER,
    "parcel.in_transit": ShipmentStatus.IN_TRANSIT,
    "parcel.delivered": ShipmentStatus.DELIVERED,
    "parcel.exception": ShipmentStatus.EXCEPTION,
    "parcel.lost": ShipmentStatus.LOST,
    "parcel.returned": ShipmentStatus.RETURNED,
}
"""The state that a report brings a parcel to. The carrier reports only on parcels that it holds."""


@require_unit_of_work
def receive_callback(*, webhook_id: str, report: ParcelReport, body: str) -> bool:
    """Store a callback with the message that will apply it; return False for one that was stored before."""
    callback = CarrierCallback(
        id=uuid7(), webhook_id=webhook_id, shipment_id=report.shipment_id, report=report.report, body=body
    )
    CarrierCallback.objects.bulk_create([callback], ignore_conflicts=True)
    if not CarrierCallback.objects.filter(id=callback.id).exists():
        return False
    with scope(correlation_id=conversation_of(report.shipment_id)):
        send(
            FollowParcel(
                shipment_id=report.shipment_id,
                order_id=report.order_id,
                callback_id=callback.id,
                report=report.report,
                sequence=report.sequence,
                label_id=report.label_id,
                tracking_number=report.tracking_number,
                occurred_at=report.occurred_at,
            )
        )
    return True


@require_unit_of_work
def follow_parcel(*, report: FollowParcel) -> None:
    """Apply what the carrier reported; older news than is known changes nothing.

    Raises NothingReserved for a parcel that we do not have, ContradictoryCarrier for what cannot be.
    """
    consignment, shipment = locked_shipment(report.order_id, report.shipment_id)
    if report.report not in REPORTS:
        raise ContradictoryCarrier(f"The carrier's report {report.report!r} is not known.")
    if shipment.status in (ShipmentStatus.PLANNED, *DEAD):
        raise ContradictoryCarrier(f"The carrier reports {report.report} of a parcel that is {shipment.status}.")
    if report.sequence <= shipment.last_report:
        return
    shipment.note(last_report=report.sequence)
    if not shipment.gone:
        label = {"label_id": report.label_id, "tracking_number": report.tracking_number}
        hand_over(consignment=consignment, shipment=shipment, label=label)
    _move_on(consignment, shipment, REPORTS[report.report])
    settle(consignment=consignment)


def _move_on(consignment: Consignment, shipment: Shipment, status: ShipmentStatus) -> None:
    if not shipment.machine.allows(shipment.status, status):
        return  # it is there already, or further
    arrived = status == ShipmentStatus.DELIVERED
    shipment.advance(status, **({"delivered_at": Now()} if arrived else {}))
    if arrived:
        last = _all_arrived(consignment)
        publish(ShipmentDelivered(shipment_id=shipment.id, order_id=consignment.order_id, last=last))
    elif status != ShipmentStatus.IN_TRANSIT:
        publish(ShipmentException(shipment_id=shipment.id, order_id=consignment.order_id, status=status))


def _all_arrived(consignment: Consignment) -> bool:
    waiting = consignment.reservations.filter(status__in=HOLDING).exists()
    return not waiting and all(parcel.status == ShipmentStatus.DELIVERED for parcel in live_shipments(consignment))
