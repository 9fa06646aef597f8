"""Circuit breakers: shared by all workers, they park work without burning its attempts."""

from collections import Counter
from uuid import uuid4

import pytest
from django.db import DatabaseError

from outbox import breakers, gates
from outbox.consumers import find
from outbox.engine.shift import Shift
from outbox.models import Breaker, BreakerChange, Delivery, Message, Receipt
from tests.integration.outbox.asking import ask, call, effects, sql, states
from tests.lab import handlers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M12")]
LAB = "lab"


@pytest.fixture
def destination(transactional_db):
    breakers.register_destinations()


def fail(times: int, *, probe: bool = False) -> None:
    for _ in range(times):
        breakers.failed(LAB, probe=probe, reason="down")


def gate(*, worked: bool = False) -> str:
    """Ask for one call, as a worker with nothing else in flight does."""
    grant = gates.ask(find("lab.call"), uuid4(), Counter(), want=1, alone=True, worked=worked)
    if not grant.calls or (grant.probe and not breakers.take_probe(LAB)):
        return "wait"
    return "probe" if grant.probe else "go"


def row() -> Breaker:
    return Breaker.objects.get(destination=LAB)


def wait_seconds() -> float:
    return float(
        sql("SELECT extract(epoch FROM open_until - now()) FROM outbox_breaker WHERE destination = 'lab'")[0][0]
    )


def let_the_wait_be_over() -> None:
    sql("UPDATE outbox_breaker SET open_until = now() WHERE destination = 'lab'")


def test_it_knows_which_consumers_wait_on_it(destination):
    assert row().consumers == ["lab.call", "lab.call_too"]


def test_four_failures_in_a_row_leave_it_closed_and_the_fifth_opens_it(destination):
    fail(4)
    assert (gate(), row().state) == ("go", "closed")
    fail(1)
    assert (gate(), row().state, row().reason) == ("wait", "open", "down")
    assert 0.5 < wait_seconds() <= 1.0


def test_only_failures_in_a_row_count(destination):
    fail(4)
    assert gate(worked=True) == "go"
    fail(4)
    assert (gate(), row().failures) == ("go", 4)
    breakers.failed(LAB, probe=False, reason="down", times=2, afresh=True)
    assert (gate(), row().failures) == ("go", 2)


def test_when_the_wait_is_over_one_caller_at_a_time_may_probe(destination):
    fail(5)
    let_the_wait_be_over()
    assert [gate() for _ in range(3)] == ["probe", "wait", "wait"]
    assert row().state == "half_open"


def test_a_probe_that_never_came_back_is_given_to_another(destination):
    fail(5)
    let_the_wait_be_over()
    assert gate() == "probe"
    sql("UPDATE outbox_breaker SET probe_until = now() - interval '1 s'")
    assert [gate(), gate()] == ["probe", "wait"]


def test_a_probe_given_back_is_there_for_the_next(destination):
    fail(5)
    let_the_wait_be_over()
    assert gate() == "probe"
    breakers.give_back(LAB, probe=True)
    assert gate() == "probe"


def test_the_success_of_a_probe_closes_it_as_new(destination):
    fail(5)
    let_the_wait_be_over()
    assert gate() == "probe"
    breakers.probe_succeeded(LAB)
    closed = row()
    assert (closed.state, closed.failures, closed.openings, closed.open_until, closed.reason) == (
        "closed",
        0,
        0,
        None,
        "",
    )
    assert gate() == "go"


def test_the_failure_of_a_probe_opens_it_for_twice_as_long_up_to_a_bound(destination):
    fail(5)
    waits = []
    for _ in range(7):
        let_the_wait_be_over()
        assert gate() == "probe"
        fail(1, probe=True)
        waits.append(wait_seconds())
    longest = breakers.LONGEST_WAIT_SECONDS
    assert waits == pytest.approx([min(wait, longest) for wait in (2, 4, 8, 16, 32, 64, 128)], abs=0.5)


def test_the_late_success_of_an_older_call_does_not_close_it(destination):
    fail(5)
    assert (gate(worked=True), row().state) == ("wait", "open")
    let_the_wait_be_over()
    assert gate() == "probe"
    assert (gate(worked=True), row().state) == ("wait", "half_open")


def test_the_late_failure_of_an_older_call_does_not_take_the_probes_place(destination):
    fail(5)
    let_the_wait_be_over()
    assert gate() == "probe"
    fail(3, probe=False)
    assert (row().state, row().openings, gate()) == ("half_open", 1, "wait")


def test_a_throttled_probe_stays_half_open_until_it_may_be_repeated(destination):
    fail(5)
    let_the_wait_be_over()
    assert gate() == "probe"
    breakers.throttled(LAB, 30.0, probe=True)
    assert (row().state, gate()) == ("half_open", "wait")
    sql("UPDATE outbox_breaker SET throttled_until = now()")
    assert gate() == "probe"


def test_the_longer_of_two_pauses_holds(destination):
    breakers.throttled(LAB, 30.0, probe=False)
    breakers.throttled(LAB, 1.0, probe=False)
    assert (
        float(
            sql("SELECT extract(epoch FROM throttled_until - now()) FROM outbox_breaker WHERE destination = 'lab'")[0][
                0
            ]
        )
        > 25
    )


def test_registering_again_keeps_the_state(destination):
    fail(5)
    breakers.register_destinations()
    assert row().state == "open"


def test_an_outage_parks_work_without_burning_its_attempts_and_everything_is_done_after_it(drain, invariants_hold):
    ask(*(call(number, "transient_once") for number in range(5)))
    drain(until=lambda: row().state == "open")
    made = sum(handlers.calls.values())
    waiting = ask(*(call(number) for number in range(100, 110)))
    sql("UPDATE outbox_breaker SET open_until = now() + interval '1 minute'")
    worker = Shift()
    worker.run(lambda: False, seconds=0.6)
    worker.me.sign_out()
    assert sum(handlers.calls.values()) == made, "nobody calls while it is open"
    parked = Delivery.objects.filter(message_id__in=waiting)
    assert set(parked.values_list("state", "attempts")) == {("ready", 0)}
    let_the_wait_be_over()
    drain()
    assert row().state == "closed"
    assert effects().count("answer") == 15
    assert set(Receipt.objects.filter(message_id__in=waiting).values_list("attempts", flat=True)) == {1}


def test_while_half_open_one_call_goes_out_and_the_others_follow_its_success(drain, hasty):
    ask(*(call(number) for number in range(10)))
    ask(call(99, "wait"))
    sql("UPDATE outbox_delivery SET priority = -1 WHERE id = (SELECT max(id) FROM outbox_delivery)")
    breakers.register_destinations()
    fail(5)
    let_the_wait_be_over()
    drain(until=lambda: handlers.calls[99] == 1)
    worker = Shift()
    worker.run(lambda: False, seconds=0.4)
    worker.me.sign_out()
    assert handlers.calls == {99: 1}
    assert states().count("ready") == 10
    handlers.answers[1].set()
    drain()
    assert sum(handlers.calls.values()) == 11
    assert row().state == "closed"


@pytest.mark.parametrize("behaviour", ["permanent", "throttled"])
def test_answers_that_say_nothing_about_the_destinations_health_do_not_count(drain, behaviour):
    ask(*(call(number, behaviour) for number in range(8)))
    drain()
    assert (row().state, row().failures) == ("closed", 0)


@pytest.mark.parametrize("behaviour", ["transient", "unknown"])
def test_a_probe_that_finds_the_outage_lasting_costs_its_message_no_attempt(drain, destination, behaviour):
    ask(call(1, behaviour))
    sql("UPDATE outbox_delivery SET attempts = 2")
    fail(5)
    let_the_wait_be_over()
    drain(until=lambda: bool(effects()))
    assert (handlers.calls[1], row().state) == (1, "open")
    assert list(Delivery.objects.values_list("attempts", flat=True)) == [2], "the third would have been its last"
    assert effects() == [f"failed 3 unknown={behaviour == 'unknown'} final=False"], "the handler knows of the call"


def test_a_probe_whose_answer_cannot_be_recorded_costs_an_attempt_as_any_call_does(drain, destination):
    ask(call(1, "record_fails"))
    sql("UPDATE outbox_delivery SET attempts = 2")
    fail(5)
    let_the_wait_be_over()
    drain(until=lambda: states() == ["dead"])
    assert row().state == "closed"


def test_each_change_is_kept_and_told(destination):
    before = breakers.CHANGES.labels(LAB, "open")._value.get()
    fail(5)
    fail(2)
    let_the_wait_be_over()
    assert [gate(), gate()] == ["probe", "wait"]
    breakers.probe_succeeded(LAB)
    steps = [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert list(BreakerChange.objects.order_by("id").values_list("from_state", "to_state")) == steps
    told = Message.objects.filter(name="outbox.breaker_changed").order_by("id").values_list("payload", flat=True)
    assert [(event["destination"], event["from_state"], event["to_state"]) for event in told] == [
        (LAB, *step) for step in steps
    ]
    assert (told[0]["reason"], BreakerChange.objects.last().reason) == ("down", "down")
    assert breakers.CHANGES.labels(LAB, "open")._value.get() == before + 1


def test_the_history_cannot_be_changed(destination):
    fail(5)
    with pytest.raises(DatabaseError, match="append-only"):
        BreakerChange.objects.update(reason="nothing happened")
