"""Timers that are taken back, and messages that come too late to be worth delivering."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import transaction

from outbox import operations, stats
from outbox.cancelling import cancel
from outbox.engine import deadlines, queue
from outbox.engine.identity import listen_parameters
from outbox.errors import NoUnitOfWork
from outbox.models import Attempt, Delivery, Receipt, Rollup, Saga
from outbox.publishing import publish, send, unit_of_work
from outbox.sagas import engine
from tests.integration.outbox.asking import BENCH, ask, call, effects, single, sql, states
from tests.lab.commands import Noted
from tests.lab.models import Effect
from tests.lab.ordered import Turn
from tests.lab.trip import TRIP

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M16")]
SOON, LATER = timedelta(seconds=0.05), timedelta(hours=1)


def send_late(command=None, **when) -> UUID:
    """Send a command whose deadline has passed since."""
    with unit_of_work():
        message_id = send(command or single(), deliver_by=LATER, **when)
    sql("UPDATE outbox_delivery SET deliver_by = now() - interval '1 s' WHERE message_id = %s", message_id)
    return message_id


def outcomes() -> dict[str, str]:
    return dict(Receipt.objects.values_list("consumer", "outcome"))


@pytest.mark.parametrize("deadline", [LATER, datetime.now(UTC) + LATER], ids=["a span", "a moment"])
def test_a_message_that_is_begun_in_time_is_delivered(drain, invariants_hold, deadline):
    with unit_of_work():
        send(single(), deliver_by=deadline)
    drain()
    assert (effects(), outcomes()) == (["single"], {"lab.single": "done"})


def test_a_message_that_nobody_began_in_time_is_never_delivered_and_everybody_can_see_it(drain, invariants_hold):
    message_id = send_late()
    drain()
    assert (effects(), outcomes()) == ([], {"lab.single": "expired"})
    attempt = Attempt.objects.get(message_id=message_id)
    assert (attempt.kind, attempt.number, attempt.error_class) == ("expired", 0, "DeadlinePassed")
    assert attempt.error.startswith("Nobody had begun it when its deadline passed")
    stats.flush()
    assert Rollup.objects.get(consumer="lab.single", measure="expired").value == 1


def test_no_claim_takes_what_is_over_its_deadline_even_before_the_sweep_finds_it(transactional_db):
    send_late()
    with unit_of_work():
        assert queue.claim("lab.single", 10) == []
        assert queue.claim_one(Delivery.objects.get().id) is None


def test_the_deadline_of_an_event_holds_for_each_of_its_consumers(drain):
    with unit_of_work():
        publish(Noted(bench_id=BENCH, number=1), deliver_by=SOON)
    sql("SELECT pg_sleep(0.06)")
    drain()
    assert outcomes() == {"lab.noted": "expired"}


def test_a_timer_may_have_a_deadline_and_must_be_due_before_it(drain):
    send_late(delay=timedelta(minutes=30))
    drain()
    assert outcomes() == {"lab.single": "expired"}
    with unit_of_work(), pytest.raises(ValueError, match="before it is due"):
        send(single(), delay=LATER, deliver_by=LATER)
    with unit_of_work(), pytest.raises(ValueError, match="time zone"):
        send(single(), deliver_by=datetime(2100, 1, 1))  # noqa: DTZ001 - what is refused


def test_what_was_tried_before_its_deadline_becomes_a_dead_letter_after_it(transactional_db, invariants_hold):
    with unit_of_work():
        send(single(), deliver_by=LATER)
    sql("UPDATE outbox_delivery SET attempts = 1, deliver_by = now()")
    deadlines.expire()
    dead = Delivery.objects.get()
    assert (dead.state, dead.attempts, dead.last_error) == ("dead", 1, "its deadline passed")
    assert Attempt.objects.get().error.startswith("Attempt 1 had failed when its deadline passed")
    assert not Receipt.objects.exists()


def test_the_retry_of_such_a_dead_letter_lifts_its_deadline(drain, invariants_hold):
    with unit_of_work():
        send(single(1, "fail_once"), deliver_by=LATER)
    sql("UPDATE outbox_delivery SET attempts = 1, deliver_by = now()")
    deadlines.expire()
    operations.each(operations.retry_dead_letter, operations.dead_letter_ids(), "still wanted")
    sql("UPDATE outbox_delivery SET attempts = 1")
    drain()
    assert effects() == ["single"]


def test_a_call_that_is_under_way_at_its_deadline_is_finished(drain, invariants_hold):
    with unit_of_work():
        send(call(), deliver_by=LATER)
    delivery = Delivery.objects.get()
    with unit_of_work():
        queue.lease([delivery.id], uuid4())
    sql("UPDATE outbox_delivery SET deliver_by = now()")
    deadlines.expire()
    assert states() == ["leased"]


@pytest.mark.requirement("M25")
def test_the_saga_whose_command_expires_needs_a_person(transactional_db):
    trip_id = uuid4()
    with unit_of_work():
        engine.start(TRIP, key=trip_id, data={"trip_id": str(trip_id)})
    sql("UPDATE outbox_delivery SET deliver_by = now()")
    deadlines.expire()
    saga = Saga.objects.get()
    assert (saga.status, saga.reason_code) == ("forward_stuck", "dead_letter")
    assert saga.reason.startswith("Nobody had begun it")


@pytest.mark.requirement("M14")
def test_what_expires_at_the_head_of_its_ordering_key_lets_the_next_go(drain, invariants_hold):
    send_late(Turn(bench_id=BENCH, number=1))
    ask(Turn(bench_id=BENCH, number=2))
    drain(until=lambda: Receipt.objects.count() == 2)
    assert list(Effect.objects.values_list("number", flat=True)) == [2]


@pytest.mark.requirement("M14")
def test_a_batch_does_not_pass_over_what_has_expired_in_the_middle_of_a_key(drain, invariants_hold):
    ask(Turn(bench_id=BENCH, number=1))
    send_late(Turn(bench_id=BENCH, number=2))
    ask(Turn(bench_id=BENCH, number=3))
    drain(until=lambda: Receipt.objects.count() == 3)
    assert list(Effect.objects.order_by("id").values_list("number", flat=True)) == [1, 3]


def test_a_message_sent_for_later_can_be_taken_back(drain, invariants_hold):
    with unit_of_work():
        message_id = send(single(), delay=LATER)
    with unit_of_work():
        assert cancel(message_id)
    assert (states(), outcomes()) == ([], {"lab.single": "cancelled"})
    with unit_of_work():
        assert not cancel(message_id), "it is over"


def test_a_message_can_be_taken_back_in_the_transaction_that_sends_it(drain):
    with unit_of_work():
        assert cancel(send(single()))
    drain()
    assert effects() == []


def test_taking_back_refuses_what_a_worker_has_in_hand(drain, invariants_hold):
    (message_id,) = ask(single())
    with psycopg.connect(**listen_parameters()) as worker:
        worker.execute("SELECT 1 FROM outbox_delivery FOR UPDATE")
        with unit_of_work():
            assert not cancel(message_id)
    drain()
    assert (effects(), outcomes()) == (["single"], {"lab.single": "done"})


def test_taking_back_refuses_what_was_tried_or_done(drain):
    (done,) = ask(single())
    drain()
    (failed,) = ask(single())
    sql("UPDATE outbox_delivery SET attempts = 1, state = 'scheduled', due_at = now()")
    with unit_of_work():
        assert (cancel(failed), cancel(done), cancel(uuid4())) == (False, False, False)
    assert Delivery.objects.get().message_id == failed


def test_a_rollback_leaves_what_was_taken_back_in_the_queue(transactional_db):
    (message_id,) = ask(single())
    with unit_of_work():
        cancel(message_id)
        transaction.set_rollback(True)
    assert states() == ["ready"]
    with pytest.raises(NoUnitOfWork):
        cancel(message_id)


@pytest.mark.requirement("M14")
def test_what_is_taken_back_out_of_an_ordering_key_leaves_the_others_in_order(drain, invariants_hold):
    first, second, _ = ask(*(Turn(bench_id=BENCH, number=number) for number in range(1, 4)))
    with unit_of_work():
        assert cancel(second)
    assert states() == ["ready", "held"]
    with unit_of_work():
        assert cancel(first)
    assert states() == ["ready"]
    drain()
    assert list(Effect.objects.values_list("number", flat=True)) == [3]
