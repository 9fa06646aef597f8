"""Sagas: what goes well goes on, what fails is undone in reverse, what cannot be undone is shown to a person."""

from datetime import timedelta
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError

from outbox import operations
from outbox.contracts import contract_named
from outbox.errors import NoUnitOfWork
from outbox.models import Delivery, Saga, SagaStep
from outbox.outcomes import Permanent
from outbox.publishing import unit_of_work
from outbox.sagas import attention, engine, registry
from tests.integration.outbox.asking import effects, sql, tell
from tests.lab.trip import (
    TRIP,
    Booked,
    Diverted,
    FlightCancelled,
    Landed,
    Refused,
    SeatGivenBack,
    TakenOff,
    diary,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M24")]
NO_SEATS = {"code": "no_seats", "reason": "The flight is full"}


def begin(behaviour: str = "") -> UUID:
    trip = uuid4()
    with unit_of_work():
        engine.start(TRIP, key=trip, data={"trip_id": str(trip), "behaviour": behaviour}, correlation_id=trip)
    return trip


def saga(trip: UUID) -> Saga:
    return Saga.objects.get(definition="lab.trip", key=trip)


def steps(trip: UUID) -> list[tuple[str, str]]:
    return list(saga(trip).steps.values_list("name", "status"))


def hurry(trip: UUID) -> None:
    """Let the deadline of the present step pass."""
    sql("UPDATE outbox_saga SET deadline_at = now() - interval '1 s' WHERE key = %s", trip)


def way_to(drain, trip: UUID, *events) -> None:
    for event in events:
        tell(event)
        drain()


def refused(trip: UUID) -> Refused:
    return Refused(trip_id=trip, **NO_SEATS)


def under_way(drain, trip: UUID) -> None:
    drain()
    way_to(drain, trip, Booked(trip_id=trip), TakenOff(trip_id=trip))


def test_it_starts_in_one_statement_beside_its_command(transactional_db, statements):
    begin()
    assert len([sql for sql in statements if "outbox_saga" in sql]) == 1
    assert len(statements) == 2, "the saga, the command"


def test_it_starts_only_inside_a_unit_of_work(transactional_db):
    with pytest.raises(NoUnitOfWork):
        engine.start(TRIP, key=uuid4(), data={})
    assert not Saga.objects.exists()


@pytest.mark.requirement("M25")
def test_each_success_leads_to_the_next_step_until_it_is_complete(drain, invariants_hold):
    trip = begin()
    drain()
    assert steps(trip) == [("seat", "done"), ("book", "running")]
    way_to(drain, trip, Booked(trip_id=trip))
    assert (saga(trip).status, saga(trip).position) == ("running", 2)
    way_to(drain, trip, TakenOff(trip_id=trip), Landed(trip_id=trip, last=False), Landed(trip_id=trip, last=True))
    done = saga(trip)
    assert (done.status, done.deadline_at, done.reason) == ("completed", None, "")
    assert done.finished_at is not None
    assert steps(trip) == [(name, "done") for name in ("seat", "book", "take_off", "land", "arrive")]
    assert effects() == ["BookFlight"]
    assert diary.changes[-1] == ("completed", "arrive")
    assert [step for kind, step in diary.changes if kind == "step_done"] == ["book", "take_off", "land", "arrive"]


@pytest.mark.requirement("M25")
def test_a_failure_is_undone_in_reverse_each_step_after_the_others_reply(drain, invariants_hold):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip))
    assert effects() == ["BookFlight", "CancelFlight"], "the failed step first, and nothing else yet"
    assert (saga(trip).status, steps(trip)[1]) == ("compensating", ("book", "compensating"))
    way_to(drain, trip, FlightCancelled(trip_id=trip))
    assert effects() == ["BookFlight", "CancelFlight", "GiveBackSeat"]
    way_to(drain, trip, SeatGivenBack(trip_id=trip))
    undone = saga(trip)
    assert (undone.status, undone.reason_code, undone.reason) == ("compensated", "no_seats", "The flight is full")
    assert steps(trip) == [("seat", "compensated"), ("book", "compensated")]
    assert diary.changes == [("step_failed", "book"), ("compensating", "book"), ("compensated", "seat")]


def test_what_undoes_a_step_is_told_why(drain):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip))
    ((reason,),) = sql("SELECT payload->>'reason' FROM outbox_message WHERE name = 'lab.cancel_flight'")
    assert reason == "The flight is full"


def test_replies_that_come_before_their_step_are_kept_for_it(drain, invariants_hold):
    trip = begin()
    drain()
    way_to(drain, trip, Landed(trip_id=trip, last=False), TakenOff(trip_id=trip))
    assert (saga(trip).position, len(saga(trip).early)) == (1, 2)
    way_to(drain, trip, Booked(trip_id=trip))
    assert (saga(trip).position, saga(trip).early) == (4, [])
    way_to(drain, trip, Landed(trip_id=trip, last=True))
    assert saga(trip).status == "completed"


def test_an_early_reply_is_read_by_the_version_it_was_kept_in(drain, monkeypatch):
    trip = begin()
    drain()
    way_to(drain, trip, TakenOff(trip_id=trip))
    (kept,) = saga(trip).early
    older = [kept[0], 0, kept[2].replace("trip_id", "journey_id"), kept[3]]
    Saga.objects.filter(key=trip).update(early=[older])
    renamed = contract_named("lab.taken_off").upcasters
    monkeypatch.setitem(renamed, 0, lambda payload: {"trip_id": payload["journey_id"]})
    way_to(drain, trip, Booked(trip_id=trip))
    assert (saga(trip).position, saga(trip).early) == (3, [])


def test_one_reply_may_end_this_step_and_a_later_one(drain):
    trip = begin()
    under_way(drain, trip)
    way_to(drain, trip, Landed(trip_id=trip, last=True))
    assert (saga(trip).status, saga(trip).early) == ("completed", [])


def test_a_repeated_reply_changes_nothing(drain, invariants_hold):
    trip = begin()
    drain()
    way_to(drain, trip, Booked(trip_id=trip), Booked(trip_id=trip), Booked(trip_id=trip))
    assert (saga(trip).position, saga(trip).early) == (2, [])
    assert diary.changes == [("step_done", "book")]
    assert effects() == ["BookFlight"]


def test_replies_to_a_finished_or_unknown_saga_are_left_alone(drain, invariants_hold):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip), FlightCancelled(trip_id=trip), SeatGivenBack(trip_id=trip))
    told = list(diary.changes)
    way_to(drain, trip, Booked(trip_id=trip), FlightCancelled(trip_id=trip), Booked(trip_id=uuid4()))
    assert (saga(trip).status, diary.changes) == ("compensated", told)
    assert not Delivery.objects.exists()


def test_while_it_is_undone_a_late_success_does_not_turn_it_round(drain):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip), Booked(trip_id=trip))
    assert (saga(trip).status, saga(trip).position) == ("compensating", 1)


def test_while_suspended_replies_are_kept_and_taken_when_it_resumes(drain, invariants_hold):
    trip = begin()
    drain()
    with unit_of_work():
        assert engine.suspend(TRIP.name, trip)
        assert not engine.suspend(TRIP.name, trip), "it is frozen already"
    way_to(drain, trip, Booked(trip_id=trip), TakenOff(trip_id=trip))
    frozen = saga(trip)
    assert (frozen.status, frozen.position, frozen.deadline_at, len(frozen.early)) == ("suspended", 1, None, 2)
    with unit_of_work():
        engine.resume(TRIP.name, trip)
    assert (saga(trip).status, saga(trip).position) == ("running", 3)
    assert saga(trip).deadline_at is not None
    assert diary.changes == [("resumed", "book"), ("step_done", "book"), ("step_done", "take_off")]


def test_a_suspended_saga_whose_effects_another_one_undid_is_closed(drain):
    trip = begin()
    drain()
    way_to(drain, trip, Booked(trip_id=trip))
    with unit_of_work():
        engine.suspend(TRIP.name, trip)
        engine.settle_compensated(TRIP.name, trip, code="cancelled", reason="Changed plans")
    closed = saga(trip)
    assert (closed.status, closed.reason_code, closed.reason) == ("compensated", "cancelled", "Changed plans")
    assert steps(trip) == [("seat", "compensated"), ("book", "compensated"), ("take_off", "compensated")]
    assert effects() == ["BookFlight"], "nothing is undone a second time"


def test_only_a_suspended_saga_is_closed_or_resumed(drain):
    trip = begin()
    drain()
    with unit_of_work():
        engine.settle_compensated(TRIP.name, trip, code="x", reason="x")
        engine.resume(TRIP.name, trip)
    assert (saga(trip).status, diary.changes) == ("running", [])


@pytest.mark.requirement("M16")
def test_before_the_pivot_a_missed_deadline_undoes_the_late_step_too(drain, invariants_hold):
    trip = begin()
    drain()
    attention.expire_late_steps()
    assert saga(trip).status == "running", "there is time left"
    hurry(trip)
    attention.expire_late_steps()
    drain()
    late = saga(trip)
    assert (late.status, late.reason_code) == ("compensating", "deadline_passed")
    assert late.reason == "Book the flight: no answer within the time allowed"
    assert effects() == ["BookFlight", "CancelFlight"]


@pytest.mark.requirement("M16", "M25")
def test_behind_the_pivot_a_missed_deadline_asks_for_a_person_and_a_late_answer_still_counts(drain):
    trip = begin()
    under_way(drain, trip)
    hurry(trip)
    attention.expire_late_steps()
    assert (saga(trip).status, steps(trip)[3]) == ("forward_stuck", ("land", "needs_attention"))
    assert effects() == ["BookFlight"], "nothing is undone"
    way_to(drain, trip, Landed(trip_id=trip, last=True))
    assert (saga(trip).status, saga(trip).reason_code) == ("completed", "")


@pytest.mark.requirement("M25")
def test_a_failure_behind_the_pivot_is_handed_to_a_person(drain):
    trip = begin()
    under_way(drain, trip)
    way_to(drain, trip, Diverted(trip_id=trip, code="fog", reason="No sight"))
    stuck = saga(trip)
    assert (stuck.status, stuck.reason_code, stuck.reason) == ("forward_stuck", "fog", "No sight")
    assert steps(trip)[3] == ("land", "needs_attention")
    assert diary.changes[-1] == ("stuck", "land")


@pytest.mark.requirement("M25")
def test_a_compensation_without_an_answer_is_handed_to_a_person_and_keeps_the_reason_it_began_with(drain):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip))
    hurry(trip)
    attention.expire_late_steps()
    assert (saga(trip).status, steps(trip)[1]) == ("compensation_stuck", ("book", "needs_attention"))
    way_to(drain, trip, FlightCancelled(trip_id=trip), SeatGivenBack(trip_id=trip))
    undone = saga(trip)
    assert (undone.status, undone.reason_code, undone.reason) == ("compensated", "no_seats", "The flight is full")
    assert diary.reasons[-1] == ("no_seats", "The flight is full")


def test_a_missed_deadline_is_dealt_with_once(drain):
    trip = begin()
    drain()
    hurry(trip)
    attention.expire_late_steps()
    attention.expire_late_steps()
    drain()
    assert effects() == ["BookFlight", "CancelFlight"]


@pytest.mark.requirement("M16", "M25")
def test_one_saga_that_cannot_be_turned_round_keeps_no_other_from_it(drain, monkeypatch):
    broken, sound = begin(), begin()
    drain()
    hurry(broken)
    hurry(sound)

    def refuse(row: Saga, change: registry.Change) -> None:
        if row.key == broken:
            raise ValueError("no way from here")

    monkeypatch.setitem(
        registry._registry, (TRIP.name, 1), registry.Registered(TRIP, refuse, "", registry.lock_nothing)
    )
    attention.expire_late_steps()
    assert (saga(broken).status, saga(sound).status) == ("running", "compensating")
    ((waits,),) = sql("SELECT deadline_at > now() FROM outbox_saga WHERE key = %s", broken)
    assert waits, "it is looked at again later, not in each round"


@pytest.mark.requirement("M16")
def test_a_late_saga_of_another_release_is_left_to_workers_that_know_it(drain):
    trip = begin()
    drain()
    hurry(trip)
    sql("UPDATE outbox_saga SET version = 2 WHERE key = %s", trip)
    attention.expire_late_steps()
    assert saga(trip).status == "running"


@pytest.mark.requirement("M25")
def test_a_reply_that_could_not_be_taken_shows_on_its_saga_and_goes_on_when_it_is_revived(drain, monkeypatch):
    trip = begin()
    drain()
    monkeypatch.setattr(engine, "handle", mock.Mock(side_effect=Permanent("the books are closed")))
    way_to(drain, trip, Booked(trip_id=trip))
    stuck = saga(trip)
    assert (stuck.status, stuck.reason_code, stuck.reason) == ("forward_stuck", "dead_letter", "the books are closed")
    assert steps(trip)[1] == ("book", "needs_attention")
    monkeypatch.undo()
    with unit_of_work():
        operations.retry_dead_letter(Delivery.objects.get().id, "The books are open again")
    assert saga(trip).status == "running"
    drain()
    assert (saga(trip).position, steps(trip)[1]) == (2, ("book", "done"))


def test_what_dies_of_an_earlier_step_stops_nothing(drain):
    trip = begin("permanent")
    drain(until=lambda: saga(trip).status == "forward_stuck")
    dead = Delivery.objects.get()
    way_to(lambda: drain(until=lambda: saga(trip).position == 2), trip, Booked(trip_id=trip))
    with unit_of_work():
        attention.delivery_died(dead.message_id, dead.consumer, reason="once more")
    assert (saga(trip).status, saga(trip).position) == ("running", 2)


@pytest.mark.requirement("M13", "M25")
def test_a_dead_command_shows_on_its_saga_and_goes_on_when_it_is_revived(drain, invariants_hold):
    trip = begin("permanent")
    drain()
    dead = Delivery.objects.get()
    assert (dead.state, dead.consumer) == ("dead", "lab.airline")
    stuck = saga(trip)
    assert (stuck.status, stuck.reason_code, stuck.reason) == (
        "forward_stuck",
        "dead_letter",
        "there is no such airline",
    )
    assert steps(trip)[1] == ("book", "needs_attention")
    with unit_of_work():
        attention.delivery_revived(dead.message_id, dead.consumer)
    alive = saga(trip)
    assert (alive.status, alive.reason_code, steps(trip)[1]) == ("running", "", ("book", "running"))
    assert alive.deadline_at is not None
    way_to_end = [Booked(trip_id=trip), TakenOff(trip_id=trip), Landed(trip_id=trip, last=True)]
    for event in way_to_end:
        tell(event)
        drain(until=lambda: Delivery.objects.filter(consumer="lab.follow_trip").count() == 0)
    assert saga(trip).status == "completed"


def test_a_sooner_deadline_holds_and_a_later_one_does_not(drain):
    trip = begin()
    drain()
    before = saga(trip).deadline_at
    with unit_of_work():
        engine.shorten_deadline(TRIP.name, trip, step="book", deadline=timedelta(hours=5))
    assert saga(trip).deadline_at == before
    with unit_of_work():
        engine.shorten_deadline(TRIP.name, trip, step="take_off", deadline=timedelta(seconds=1))
    assert saga(trip).deadline_at == before, "another step is under way"
    with unit_of_work():
        engine.shorten_deadline(TRIP.name, trip, step="book", deadline=timedelta(seconds=1))
    assert saga(trip).deadline_at < before


def test_what_a_saga_asks_belongs_to_its_conversation(drain):
    trip = begin()
    drain()
    way_to(drain, trip, refused(trip))
    rows = sql("SELECT correlation_id, headers->>'step' FROM outbox_message WHERE kind = 'command' ORDER BY id")
    assert rows == [(rows[0][0], "book"), (trip, "book")]


def test_a_saga_begins_once_per_key(transactional_db):
    trip = begin()
    with pytest.raises(IntegrityError, match="outbox_saga_once"), unit_of_work():
        engine.start(TRIP, key=trip, data={"trip_id": str(trip)})
    assert SagaStep.objects.count() == 2
