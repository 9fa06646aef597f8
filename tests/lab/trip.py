"""A journey as a saga: small enough to try everything that sagas can go through."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from outbox.consumers import Incoming, consumer
from outbox.contracts import Command, Event, contract
from outbox.models import Saga as SagaRow
from outbox.outcomes import Permanent
from outbox.sagas import engine
from outbox.sagas.definition import Compensation, Data, Reply, Saga, Step
from tests.lab.models import Effect


@contract("lab.book_flight", version=1, owner="lab", aggregate="trip", key="trip_id")
class BookFlight(Command):
    trip_id: UUID
    behaviour: str = ""


@contract("lab.cancel_flight", version=1, owner="lab", aggregate="trip", key="trip_id")
class CancelFlight(Command):
    trip_id: UUID
    reason: str


@contract("lab.give_back_seat", version=1, owner="lab", aggregate="trip", key="trip_id")
class GiveBackSeat(Command):
    trip_id: UUID


@contract("lab.seat_given_back", version=1, owner="lab", aggregate="trip", key="trip_id")
class SeatGivenBack(Event):
    trip_id: UUID


@contract("lab.booked", version=1, owner="lab", aggregate="trip", key="trip_id")
class Booked(Event):
    trip_id: UUID


@contract("lab.refused", version=1, owner="lab", aggregate="trip", key="trip_id")
class Refused(Event):
    trip_id: UUID
    code: str
    reason: str


@contract("lab.flight_cancelled", version=1, owner="lab", aggregate="trip", key="trip_id")
class FlightCancelled(Event):
    trip_id: UUID


@contract("lab.taken_off", version=1, owner="lab", aggregate="trip", key="trip_id")
class TakenOff(Event):
    trip_id: UUID


@contract("lab.landed", version=1, owner="lab", aggregate="trip", key="trip_id")
class Landed(Event):
    trip_id: UUID
    last: bool


@contract("lab.diverted", version=1, owner="lab", aggregate="trip", key="trip_id")
class Diverted(Event):
    trip_id: UUID
    code: str
    reason: str


def _trip(data: Data) -> UUID:
    return UUID(data["trip_id"])


TRIP = Saga(
    "lab.trip",
    version=1,
    key="trip_id",
    steps=(
        Step(
            "seat",
            label="Hold a seat",
            awaiting="a seat",
            compensation=Compensation(lambda data: GiveBackSeat(trip_id=_trip(data)), Reply(SeatGivenBack)),
        ),
        Step(
            "book",
            label="Book the flight",
            awaiting="the airline",
            command=lambda data: BookFlight(trip_id=_trip(data), behaviour=data.get("behaviour", "")),
            success=Reply(Booked),
            failure=Reply(Refused),
            compensation=Compensation(
                lambda data: CancelFlight(trip_id=_trip(data), reason=data["reason"]), Reply(FlightCancelled)
            ),
            deadline=timedelta(minutes=5),
        ),
        Step("take_off", label="Take off", awaiting="take-off", success=Reply(TakenOff), pivot=True),
        Step(
            "land",
            label="Land",
            awaiting="landing",
            success=Reply(Landed),
            failure=Reply(Diverted),
            deadline=timedelta(hours=9),
        ),
        Step("arrive", label="Arrive", awaiting="the last leg", success=Reply(Landed, when=lambda event: event.last)),
    ),
)


@dataclass
class Diary:
    """What the observer was told, as (kind, step); without the steps that began, which their rows show."""

    changes: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[tuple[str, str]] = field(default_factory=list)

    def note(self, saga: SagaRow, change: engine.Change) -> None:
        if change.kind == "step_began":
            return
        self.changes.append((change.kind, change.step))
        self.reasons.append((change.reason_code, change.reason))


diary = Diary()
engine.register(TRIP, diary.note, follower="lab.follow_trip")


@consumer(BookFlight, CancelFlight, GiveBackSeat, name="lab.airline")
def airline(command: Command, message: Incoming) -> None:
    """Take note of what is asked; the tests answer."""
    if getattr(command, "behaviour", "") == "permanent":
        raise Permanent("there is no such airline")
    Effect.objects.create(message_id=message.id, label=type(command).__name__, number=0)


@consumer(
    *(SeatGivenBack, Booked, Refused, FlightCancelled, TakenOff, Landed, Diverted),
    name="lab.follow_trip",
)
def follow_trip(event: Event, message: Incoming) -> None:
    engine.handle(TRIP.name, event, message)
