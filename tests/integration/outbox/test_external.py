"""External consumers: prepared in a transaction, called outside of any, recorded only by whom holds the lease."""

import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from outbox.models import Attempt, Delivery, Receipt
from tests.integration.outbox.asking import BENCH, ask, call, effects, sql, states
from tests.lab import handlers
from tests.lab.commands import CallToo
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8")]


def attempts() -> list[tuple[int, str]]:
    return list(Attempt.objects.order_by("id").values_list("number", "kind"))


def test_a_call_is_prepared_made_and_recorded_once(drain, invariants_hold):
    (message_id,) = ask(call())
    drain()
    assert handlers.calls == {1: 1}
    assert effects() == ["answer"]
    receipt = Receipt.objects.get()
    assert (receipt.message_id, receipt.consumer, receipt.attempts) == (message_id, "lab.call", 1)
    assert not Delivery.objects.exists()


def test_a_preparation_without_a_plan_is_acknowledged_without_a_call(drain, invariants_hold):
    ask(call(1, "skip"), call(2))
    drain()
    assert handlers.calls == {2: 1}
    assert effects() == ["answer"]
    assert list(Receipt.objects.values_list("attempts", flat=True)) == [1, 1]


@pytest.mark.requirement("M10")
def test_a_transient_failure_is_noted_and_repeated_after_a_while(drain, invariants_hold):
    ask(call(1, "transient_once"))
    drain()
    assert effects() == ["failed 1 unknown=False final=False", "answer"]
    assert attempts() == [(1, "transient")]
    assert Receipt.objects.get().attempts == 2
    failure = Attempt.objects.get()
    assert (Receipt.objects.get().finished_at - failure.at).total_seconds() >= 0.005
    assert (failure.error_class, failure.error) == ("outbox.outcomes.Transient", "told to fail")


@pytest.mark.requirement("M13")
def test_when_its_attempts_are_used_up_the_handler_is_told_that_this_was_the_last(drain, invariants_hold):
    ask(call(1, "transient"))
    drain()
    assert handlers.calls == {1: 3}
    assert effects() == [
        "failed 1 unknown=False final=False",
        "failed 2 unknown=False final=False",
        "failed 3 unknown=False final=True",
    ]
    dead = Delivery.objects.get()
    assert (dead.state, dead.attempts, dead.lease_owner, dead.last_error) == (
        "dead",
        3,
        None,
        "Transient: told to fail",
    )
    assert not Receipt.objects.exists()


@pytest.mark.parametrize("behaviour", ["unknown", "crash"])
def test_an_answer_that_never_came_and_a_stumble_may_have_had_their_effect(drain, behaviour):
    ask(call(1, behaviour))
    drain()
    assert effects() == [f"failed {n} unknown=True final={n == 3}" for n in (1, 2, 3)]


@pytest.mark.requirement("M10")
def test_a_permanent_failure_is_a_dead_letter_at_once(drain, invariants_hold):
    ask(call(1, "permanent"))
    drain()
    assert handlers.calls == {1: 1}
    assert effects() == ["failed 1 unknown=False final=True"]
    assert (states(), attempts()) == (["dead"], [(1, "permanent")])


@pytest.mark.requirement("M11")
def test_a_throttled_destination_is_left_alone_by_everybody_and_burns_no_attempt(drain, invariants_hold):
    ask(call(1, "throttled"))
    drain(until=lambda: Attempt.objects.exists())
    first = handlers.called_at[1]
    ask(call(2), call(3))
    drain()
    assert min(handlers.called_at.values()) - first >= 0.3
    assert handlers.calls == {1: 2, 2: 1, 3: 1}
    assert effects() == ["answer"] * 3, "no failure was told to the handler"
    assert set(Receipt.objects.values_list("attempts", flat=True)) == {1}


@pytest.mark.requirement("M11")
def test_a_worker_heeds_at_once_what_another_worker_was_told(drain):
    ask(call(1))
    drain()
    sql("UPDATE outbox_breaker SET throttled_until = now() + interval '0.4 s' WHERE destination = 'lab'")
    told = time.monotonic()
    ask(call(2))
    drain()
    assert handlers.called_at[2] - told >= 0.35


def test_a_result_that_comes_after_the_lease_was_lost_is_not_recorded(drain, hasty):
    ask(call(1, "wait"))
    drain(until=lambda: handlers.calls[1] == 1)
    thief = uuid4()
    sql("UPDATE outbox_delivery SET lease_owner = %s", thief)
    handlers.answers[1].set()
    drain(until=_called_back(handlers.answers[1]))
    assert effects() == []
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.lease_owner, delivery.attempts) == ("leased", thief, 1)


def test_a_failure_that_comes_after_the_lease_was_lost_is_not_recorded(drain, hasty, monkeypatch):
    ask(call(1, "wait"))
    drain(until=lambda: handlers.calls[1] == 1)
    sql("UPDATE outbox_delivery SET lease_owner = %s", uuid4())
    monkeypatch.setattr(handlers.answers[1], "wait", lambda _: False)
    handlers.answers[1].set()
    drain(until=_called_back(handlers.answers[1]))
    assert (effects(), attempts()) == ([], [])
    assert states() == ["leased"]


def test_an_older_attempt_of_the_same_worker_does_not_answer_for_the_newer_one(drain, hasty, invariants_hold):
    ask(call(1, "wait"))
    drain(until=lambda: handlers.calls[1] == 1)
    sql("UPDATE outbox_delivery SET lease_until = now() - interval '1 s'")
    drain(until=lambda: handlers.calls[1] == 2)
    handlers.answers[1].set()
    drain(until=_called_back(handlers.answers[1]))
    assert effects() == [], "its lease is over"
    handlers.answers[2].set()
    drain()
    assert effects() == ["answer 2"]
    assert Receipt.objects.get().attempts == 2


def test_a_call_whose_worker_vanished_is_repeated_when_its_lease_runs_out(drain, invariants_hold):
    ask(call(1))
    sql(
        "UPDATE outbox_delivery SET state = 'leased', lease_owner = %s, attempts = 1,"
        " lease_until = now() + interval '0.2 s', enqueued_at = now()",
        uuid4(),
    )
    drain()
    assert effects() == ["answer"]
    assert Receipt.objects.get().attempts == 2


def test_a_worker_that_lives_keeps_its_leases(drain, hasty, settings):
    settings.LEASE_SECONDS = 60
    ask(call(1, "wait"))
    drain(until=lambda: handlers.calls[1] == 1)
    sql("UPDATE outbox_delivery SET lease_until = now() + interval '8 s'")
    drain(until=lambda: Delivery.objects.get().lease_until.timestamp() > datetime.now(UTC).timestamp() + 50)
    handlers.answers[1].set()
    drain()
    assert handlers.calls == {1: 1}


def test_what_cannot_be_recorded_leaves_no_trace_and_is_called_again(drain, invariants_hold):
    ask(call(1, "record_fails_once"))
    drain()
    assert handlers.calls == {1: 2}
    assert effects() == ["failed 1 unknown=True final=False", "answer"]
    assert "told to fail while recording" in Attempt.objects.get().error


def test_what_can_never_be_recorded_becomes_a_dead_letter(drain):
    ask(call(1, "record_fails"))
    drain()
    assert states() == ["dead"]
    assert "answer" not in effects()
    assert [kind for _, kind in attempts()] == ["transient"] * 3


def test_a_hook_that_fails_itself_does_not_hide_the_failure(drain, invariants_hold):
    ask(call(1, "hook_fails"))
    drain()
    assert effects() == [], "what the hook wrote was rolled back"
    assert attempts() == [(1, "transient"), (2, "transient"), (3, "transient")]
    assert {a.error for a in Attempt.objects.all()} == {"told to fail"}
    assert states() == ["dead"]


def test_one_that_cannot_be_prepared_does_not_hold_up_those_prepared_with_it(drain, invariants_hold):
    ask(*(call(number, "prepare_fails" if number == 3 else "") for number in range(6)))
    drain()
    assert set(handlers.calls) == {0, 1, 2, 4, 5}
    assert sorted(Effect.objects.values_list("number", flat=True)) == [0, 1, 2, 4, 5]
    assert (states(), attempts()) == (["dead"], [(n, "transient") for n in (1, 2, 3)])


@pytest.mark.requirement("M7", "M17")
def test_many_calls_are_in_flight_at_once_in_one_process(drain, invariants_hold):
    started = time.monotonic()
    ask(*(call(number, "slow") for number in range(40)))
    drain()
    assert time.monotonic() - started < 1.5, "40 calls of 200 ms"
    assert Effect.objects.count() == 40
    assert set(handlers.calls.values()) == {1}


@pytest.mark.requirement("M17")
def test_a_backlog_of_one_consumer_does_not_keep_another_from_the_same_destination(drain, hasty):
    ask(*(call(number, "slow") for number in range(100)))
    ask(CallToo(bench_id=BENCH, number=1000))
    drain(until=lambda: handlers.calls[1000] == 1)
    assert sum(handlers.calls.values()) <= 70, "two waves at most"


def _called_back(answer):
    """Wait until the answer was given, and a little longer, so that the worker has taken it in."""
    end = time.monotonic() + 0.25

    def done() -> bool:
        return answer.is_set() and time.monotonic() > end

    return done
