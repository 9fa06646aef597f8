"""Transactional consumers: effect and acknowledgement are one fact."""

from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from django.db import transaction

from outbox import stats
from outbox.errors import ContractConflict, NoUnitOfWork
from outbox.models import Attempt, Delivery, Message, Receipt, Rollup
from outbox.publishing import publish, send, unit_of_work
from tests.lab.commands import Note, Noted, Single
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8")]
BENCH = uuid4()


def note(number: int, behaviour: str = "") -> Note:
    return Note(bench_id=BENCH, number=number, behaviour=behaviour)


def test_a_message_is_handled_once_and_leaves_a_receipt(drain, invariants_hold):
    with unit_of_work():
        message_id = send(note(1))
    drain()
    assert list(Effect.objects.filter(label="note").values_list("message_id", "number")) == [(message_id, 1)]
    assert Receipt.objects.get(message_id=message_id, consumer="lab.note").attempts == 1
    assert not Delivery.objects.exists()


def test_what_a_handler_publishes_carries_correlation_and_causation(drain):
    with unit_of_work():
        first = send(note(1))
    drain()
    cause, effect = Message.objects.order_by("id")
    assert (effect.causation_id, effect.correlation_id) == (first, cause.correlation_id)


def say_then_fail() -> None:
    Effect.objects.create(message_id=send(note(1)), label="x", number=1)
    raise ZeroDivisionError


@pytest.mark.requirement("M2")
def test_a_rolled_back_unit_of_work_says_nothing(transactional_db):
    with pytest.raises(ZeroDivisionError), unit_of_work():
        say_then_fail()
    assert (Message.objects.count(), Delivery.objects.count(), Effect.objects.count()) == (0, 0, 0)


def test_publish_and_send_refuse_outside_a_unit_of_work(transactional_db):
    with pytest.raises(NoUnitOfWork):
        send(note(1))
    with transaction.atomic(), pytest.raises(NoUnitOfWork):
        publish(Noted(bench_id=BENCH, number=1))


def test_events_are_published_and_commands_are_sent(transactional_db):
    with unit_of_work():
        with pytest.raises(ContractConflict):
            publish(note(1))
        with pytest.raises(ContractConflict):
            send(Noted(bench_id=BENCH, number=1))


def test_one_unit_of_work_writes_all_its_messages_in_one_statement(transactional_db, statements):
    with unit_of_work():
        for number in range(5):
            send(note(number))
    (statement,) = statements
    assert "INSERT INTO outbox_message" in statement


def test_a_batch_isolates_the_failing_message(drain, invariants_hold):
    with unit_of_work():
        ids = [send(note(number, "permanent" if number == 7 else "")) for number in range(15)]
    drain()
    done = set(Effect.objects.filter(label="note").values_list("number", flat=True))
    assert done == set(range(15)) - {7}
    assert Effect.objects.filter(label="note").count() == 14
    dead = Delivery.objects.get()
    assert (dead.message_id, dead.state, dead.attempts) == (ids[7], "dead", 1)


@pytest.mark.requirement("M10", "M13")
def test_a_message_that_always_fails_is_retried_with_backoff_then_set_aside_with_its_attempts(drain, invariants_hold):
    with unit_of_work():
        message_id = send(note(1, "fail"))
    drain()
    dead = Delivery.objects.get()
    assert (dead.state, dead.attempts, dead.message_id) == ("dead", 3, message_id)
    attempts = list(Attempt.objects.filter(message_id=message_id).order_by("number"))
    assert [a.number for a in attempts] == [1, 2, 3]
    assert len({a.fingerprint for a in attempts}) == 1
    assert "told to fail" in attempts[0].error
    assert "behave" in attempts[0].traceback
    gaps = [(b.at - a.at).total_seconds() for a, b in pairwise(attempts)]
    assert gaps[0] >= 0.005
    assert not Effect.objects.exists()


def test_a_message_that_fails_once_succeeds_on_its_second_attempt(drain):
    with unit_of_work():
        message_id = send(note(1, "fail_once"))
    drain()
    assert Receipt.objects.get(message_id=message_id).attempts == 2
    assert Effect.objects.filter(label="note").count() == 1


@pytest.mark.requirement("M16")
def test_a_delayed_message_is_not_handled_early(drain):
    with unit_of_work():
        send(Single(bench_id=BENCH, number=1), delay=timedelta(seconds=0.4))
        send(Single(bench_id=BENCH, number=2))
    drain(until=lambda: Effect.objects.count() == 1)
    assert Effect.objects.get().number == 2
    drain()
    late, early = Receipt.objects.order_by("-finished_at")
    message = Message.objects.get(id=late.message_id)
    waited = (late.finished_at - message.created_at).total_seconds()
    assert 0.4 <= waited < 1.0
    assert early.finished_at < late.finished_at


def test_lower_priority_numbers_go_first(drain):
    with unit_of_work():
        for number, priority in ((1, 5), (2, 0), (3, -5)):
            send(Single(bench_id=BENCH, number=number), priority=priority)
    drain()
    assert list(Effect.objects.order_by("id").values_list("number", flat=True)) == [3, 2, 1]


@pytest.mark.requirement("M19")
def test_an_unknown_type_or_version_is_parked_and_runs_when_a_release_knows_it(drain):
    with unit_of_work():
        unknown, newer = send(note(1)), send(note(2))
    Message.objects.filter(id=unknown).update(name="lab.from_the_future")
    Message.objects.filter(id=newer).update(version=2)
    drain()
    assert set(Delivery.objects.values_list("message_id", "state")) == {(unknown, "parked"), (newer, "parked")}
    Message.objects.filter(id=unknown).update(name="lab.note")
    Message.objects.filter(id=newer).update(version=1)
    drain(until=lambda: Effect.objects.filter(label="note").count() == 2)


def test_a_payload_that_does_not_fit_its_contract_is_a_dead_letter_at_once(drain):
    with unit_of_work():
        message_id = send(note(1))
    Message.objects.filter(id=message_id).update(payload={"bench_id": str(BENCH), "surprise": 1})
    drain()
    assert Delivery.objects.get().state == "dead"
    assert "surprise" in Attempt.objects.get().error


def test_a_deliberate_delay_does_not_count_as_latency(drain):
    with unit_of_work():
        send(Single(bench_id=BENCH, number=1), delay=timedelta(seconds=0.6))
    drain()
    stats.flush()
    (measure,) = Rollup.objects.filter(consumer="lab.single").values_list("measure", flat=True)
    assert float(measure.removeprefix("le_")) < 500
