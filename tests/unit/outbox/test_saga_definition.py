"""A saga as data: where it begins, where it can only go forward, which replies it waits for."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from outbox.sagas.definition import Compensation, Reply, Saga, Step, reply_names
from tests.lab.trip import (
    TRIP,
    Booked,
    BookFlight,
    CancelFlight,
    Diverted,
    FlightCancelled,
    Landed,
    Refused,
    SeatGivenBack,
    TakenOff,
)

pytestmark = pytest.mark.requirement("M24")
TRIP_ID = uuid4()


def test_it_begins_at_the_first_step_that_waits_for_a_reply():
    assert TRIP.first_open() == 1
    assert TRIP.steps[1].name == "book"


def test_only_behind_the_pivot_there_is_no_way_back():
    assert [TRIP.past_pivot(position) for position in range(len(TRIP.steps))] == [False, False, False, True, True]


def test_a_saga_without_a_pivot_can_always_be_undone():
    saga = Saga("t", 1, "trip_id", (Step("a", "A", "a", success=Reply(Booked)),))
    assert not saga.past_pivot(0)


def test_it_listens_to_successes_failures_and_compensations_each_once():
    assert TRIP.replies() == [SeatGivenBack, Booked, Refused, FlightCancelled, TakenOff, Landed, Diverted]
    assert next(iter(reply_names(TRIP))) == "lab.seat_given_back"


def test_a_reply_may_carry_the_key_in_a_field_of_another_name():
    steps = (Step("a", "A", "a", success=Reply(Booked), failure=Reply(Refused, key="reason")),)
    assert Saga("t", 1, "trip_id", steps).key_fields() == {Booked: "trip_id", Refused: "reason"}


def test_an_early_reply_is_one_that_a_later_step_waits_for():
    landed, booked = Landed(trip_id=TRIP_ID, last=False), Booked(trip_id=TRIP_ID)
    assert TRIP.wanted_later(1, landed)
    assert not TRIP.wanted_later(3, landed)
    assert not TRIP.wanted_later(1, booked)
    assert TRIP.wanted_later(0, booked)


def test_a_condition_narrows_a_reply_down():
    reply = Reply(Landed, when=lambda event: event.last)
    assert reply.fits(Landed(trip_id=TRIP_ID, last=True))
    assert not reply.fits(Landed(trip_id=TRIP_ID, last=False))
    assert not reply.fits(Booked(trip_id=TRIP_ID))


def test_two_steps_of_one_name_are_refused():
    step = Step("same", "Same", "the same", success=Reply(Booked))
    with pytest.raises(ValueError, match="two steps have the same name"):
        Saga("t", 1, "trip_id", (step, step))


def test_commands_are_built_from_data_alone():
    data = {"trip_id": str(TRIP_ID)}
    step = TRIP.steps[TRIP.by_name["book"]]
    assert step.command is not None
    assert step.command(data) == BookFlight(trip_id=TRIP_ID)
    assert isinstance(step.compensation, Compensation)
    assert step.compensation.command({**data, "reason": "rain"}) == CancelFlight(trip_id=TRIP_ID, reason="rain")
    assert step.deadline == timedelta(minutes=5)
    assert UUID(data["trip_id"]) == TRIP_ID
