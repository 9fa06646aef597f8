"""Messages in: each becomes one call of a service."""

from dataclasses import dataclass

from fulfillment.carriers.base import Label, LabelRefused, LabelRequest, ParcelCollected
from fulfillment.carriers.http import configured_carrier
from fulfillment.commands import (
    AllocateStock,
    BookLabel,
    BookShipments,
    CancelShipments,
    CheckBackorder,
    FollowParcel,
    ReleaseStock,
    VoidLabel,
)
from fulfillment.errors import ContradictoryCarrier, NothingReserved
from fulfillment.services import backorders, cancelling, reservations, shipping, tracking
from fulfillment.services.cancelling import VoidPlan
from outbox.consumers import Incoming, consumer, external_consumer
from outbox.destinations import Destination
from outbox.fairness import by_actor
from outbox.outcomes import Failure, NotDone, Permanent, permanent

CARRIER = Destination("carrier", concurrency=20)


@consumer(AllocateStock, name="fulfillment.allocate_stock")
def allocate_stock(command: AllocateStock, message: Incoming) -> None:
    """Make the order's reservations firm."""
    reservations.allocate_stock(order_id=command.order_id)


@consumer(CheckBackorder, name="fulfillment.check_backorder")
def check_backorder(command: CheckBackorder, message: Incoming) -> None:
    """Let the order go on when all it waited for is there."""
    backorders.check_backorder(order_id=command.order_id)


@consumer(ReleaseStock, name="fulfillment.release_stock")
def release_stock(command: ReleaseStock, message: Incoming) -> None:
    """Give back what the order holds."""
    reservations.release_stock(order_id=command.order_id)


@consumer(BookShipments, name="fulfillment.book_shipments")
def book_shipments(command: BookShipments, message: Incoming) -> None:
    """Plan the order's parcels and have their labels booked."""
    shipping.book_shipments(order_id=command.order_id)


@consumer(CancelShipments, name="fulfillment.cancel_shipments")
def cancel_shipments(command: CancelShipments, message: Incoming) -> None:
    """Take the order's parcels back."""
    cancelling.cancel_shipments(order_id=command.order_id, reason=command.reason)


@consumer(FollowParcel, name="fulfillment.follow_parcel")
def follow_parcel(command: FollowParcel, message: Incoming) -> NotDone | None:
    """Apply what the carrier reported; what cannot be is for a person to look at, at once."""
    try:
        tracking.follow_parcel(report=command)
    except (ContradictoryCarrier, NothingReserved) as error:
        return permanent(str(error))
    return None


@dataclass(frozen=True, slots=True)
class BookingPlan:
    """A booking call to make."""

    request: LabelRequest
    repeated: bool
    """The carrier may have a label for the parcel already."""


@external_consumer(BookLabel, name="fulfillment.book_label", destination=CARRIER, fair_by=by_actor)
class BookParcel:
    """Get a parcel's label, once whatever happens on the way."""

    def prepare(self, command: BookLabel, message: Incoming) -> BookingPlan | None:
        """Note that the call begins."""
        begun = shipping.begin_booking(order_id=command.order_id, shipment_id=command.shipment_id)
        return BookingPlan(*begun) if begun else None

    def call(self, plan: BookingPlan) -> Label | LabelRefused | NotDone:
        """Look for the label of an earlier attempt first; else ask for one, with the parcel's own key."""
        carrier = configured_carrier()
        found = carrier.find(plan.request.shipment) if plan.repeated else None
        booked = found or carrier.book(plan.request)
        if isinstance(booked, Label) and booked.voided:
            return permanent(f"Label {booked.id} of {plan.request.shipment} is void, and nobody here asked for that.")
        return booked

    def record(self, command: BookLabel, message: Incoming, plan: BookingPlan, result: Label | LabelRefused) -> None:
        """Keep the label, or the refusal."""
        parcel = {"order_id": command.order_id, "shipment_id": command.shipment_id}
        if isinstance(result, Label):
            shipping.label_booked(**parcel, label=result)
        else:
            shipping.label_refused(**parcel, refusal=result)

    def failed(self, command: BookLabel, message: Incoming, plan: BookingPlan | None, failure: Failure) -> None:
        """Note that the call is over. Out of attempts, the order is told; what is wrong with us waits to be mended."""
        if plan is not None:
            shipping.booking_attempt_failed(
                order_id=command.order_id,
                shipment_id=command.shipment_id,
                repeated=plan.repeated,
                unknown=failure.unknown,
            )
        if failure.final and not isinstance(failure.error, Permanent):
            reason = "The carrier could not take the parcel."
            shipping.booking_given_up(order_id=command.order_id, code="carrier_unavailable", reason=reason)


@dataclass(frozen=True, slots=True)
class VoidResult:
    """What became of a parcel that is to be taken back."""

    collected: bool
    label: Label | None
    """The label as it was found, where its id was not known."""


@external_consumer(VoidLabel, name="fulfillment.void_label", destination=CARRIER, fair_by=by_actor)
class VoidParcel:
    """Make sure that the carrier does not take a parcel."""

    def prepare(self, command: VoidLabel, message: Incoming) -> VoidPlan | NotDone | None:
        """Find out what there is to void."""
        return cancelling.begin_void(order_id=command.order_id, shipment_id=command.shipment_id)

    def call(self, plan: VoidPlan) -> VoidResult:
        """Void by the label's id. Without one, ask what an earlier booking brought: a booking of unknown outcome may
        still come through, so one that is not found is repeated with its own key, which settles it.
        """
        carrier = configured_carrier()
        label, label_id = None, plan.label_id
        if label_id is None:
            booked = carrier.find(plan.request.shipment) or carrier.book(plan.request)
            if isinstance(booked, LabelRefused):
                return VoidResult(collected=False, label=None)
            label, label_id = booked, booked.id
        return VoidResult(isinstance(carrier.void(label_id), ParcelCollected), label)

    def record(self, command: VoidLabel, message: Incoming, plan: VoidPlan, result: VoidResult) -> None:
        """The parcel is taken back, or has left."""
        settled = cancelling.void_came_too_late if result.collected else cancelling.label_voided
        settled(order_id=command.order_id, shipment_id=command.shipment_id, label=result.label)
