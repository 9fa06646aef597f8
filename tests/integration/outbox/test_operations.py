"""Operators' verbs: compare-and-set, audited, and carried out by the real engine."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from outbox import control, operations, stats
from outbox.context import scope
from outbox.engine import shift
from outbox.errors import IllegalOperation, NoUnitOfWork
from outbox.invariants import verify
from outbox.models import Attempt, AuditEntry, ConsumerControl, Delivery, Message, Receipt, Saga
from outbox.publishing import send, unit_of_work
from outbox.sagas.attention import expire_late_steps
from outbox.sagas.engine import start
from tests.integration.outbox.dead import make_dead
from tests.integration.outbox.saga import ONE_STEP, told_of_saga
from tests.lab import handlers
from tests.lab.commands import Note, Single
from tests.lab.models import Effect

__all__ = ["told_of_saga"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M13", "M27")]


@pytest.fixture(autouse=True)
def nothing_remembered():
    control.forget()
    yield
    control.forget()


@pytest.fixture
def mended(monkeypatch):
    """The handler's fault is mended: what it was told to fail at succeeds now."""
    monkeypatch.setattr(handlers, "behave", lambda behaviour, message: None)


def retry(delivery_id: int, reason: str = "mended", actor: str = "staff:ada") -> None:
    with scope(actor=actor), unit_of_work():
        operations.retry_dead_letter(delivery_id, reason)


def discard(delivery_id: int, reason: str = "made by a test") -> None:
    with scope(actor="staff:ada"), unit_of_work():
        operations.discard_dead_letter(delivery_id, reason)


def test_a_retried_dead_letter_is_done_by_the_engine(drain, invariants_hold, request):
    (dead,) = make_dead(drain, 1)
    request.getfixturevalue("mended")
    retry(dead.id)
    drain()
    assert Effect.objects.filter(label="note").count() == 1
    receipt = Receipt.objects.get(message_id=dead.message_id, consumer="lab.note")
    assert (receipt.outcome, receipt.attempts) == ("done", 1)
    assert not Delivery.objects.exists()


def test_a_retry_gives_a_whole_new_round_of_attempts_and_keeps_the_old_ones(drain, invariants_hold):
    (dead,) = make_dead(drain, 1, behaviour="fail")
    retry(dead.id)
    drain()
    again = Delivery.objects.get(id=dead.id)
    assert (again.state, again.attempts) == ("dead", 3)
    numbers = Attempt.objects.filter(message_id=dead.message_id).order_by("id").values_list("number", flat=True)
    assert list(numbers) == [1, 2, 3, 1, 2, 3]


def test_a_retry_is_audited_with_who_why_before_and_after(drain):
    (dead,) = make_dead(drain, 1)
    retry(dead.id, "  the bug is mended ")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.reason) == ("staff:ada", operations.RETRY, "the bug is mended")
    assert entry.subject == f"delivery:{dead.id}"
    assert (entry.before["state"], entry.before["consumer"], entry.before["attempts"]) == ("dead", "lab.note", 1)
    assert entry.before["message_id"] == str(dead.message_id)
    assert entry.after == {"state": "ready", "attempts": 0}


def test_a_discarded_dead_letter_leaves_a_receipt_that_says_so(drain, invariants_hold):
    (dead,) = make_dead(drain, 1)
    discard(dead.id)
    assert not Delivery.objects.exists()
    assert Receipt.objects.get(message_id=dead.message_id).outcome == "discarded"
    assert Attempt.objects.filter(message_id=dead.message_id).count() == 1
    assert AuditEntry.objects.get().after == {"state": "discarded"}
    assert not Effect.objects.exists()


@pytest.mark.parametrize("verb", [operations.retry_dead_letter, operations.discard_dead_letter])
@pytest.mark.parametrize("reason", ["", "   \n"])
def test_a_blank_reason_is_refused_and_changes_nothing(drain, verb, reason):
    (dead,) = make_dead(drain, 1)
    with pytest.raises(IllegalOperation, match="a reason is required"), unit_of_work():
        verb(dead.id, reason)
    assert Delivery.objects.get(id=dead.id).state == "dead"
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("verb", [operations.retry_dead_letter, operations.discard_dead_letter])
def test_the_verbs_refuse_outside_a_unit_of_work(transactional_db, verb):
    with pytest.raises(NoUnitOfWork):
        verb(1, "because")


@pytest.mark.parametrize("verb", [operations.retry_dead_letter, operations.discard_dead_letter])
def test_only_dead_letters_are_retried_or_discarded(transactional_db, verb):
    with unit_of_work():
        send(Note(bench_id=uuid4(), number=1))
    ready = Delivery.objects.get()
    with pytest.raises(IllegalOperation, match=f"Delivery {ready.id} is no dead letter: it is ready"), unit_of_work():
        verb(ready.id, "because")
    assert Delivery.objects.get().state == "ready"
    assert not Receipt.objects.exists()


def test_the_second_of_two_verbs_is_told_who_was_first(drain):
    first, second = make_dead(drain, 1, 2)
    retry(first.id, "mended")
    with pytest.raises(IllegalOperation, match=r"staff:ada retried it at .* UTC \(mended\); it is ready now"):
        retry(first.id, actor="staff:bob")
    discard(second.id, "not wanted")
    with pytest.raises(IllegalOperation, match=r"staff:ada discarded it at .* UTC \(not wanted\)"):
        retry(second.id, actor="staff:bob")
    assert AuditEntry.objects.count() == 2


def test_of_two_retries_at_once_exactly_one_wins(drain):
    (dead,) = make_dead(drain, 1)
    start, outcomes = threading.Barrier(8), []

    def race(name: str) -> None:
        start.wait()
        try:
            retry(dead.id, actor=f"staff:{name}")
            outcomes.append("done")
        except IllegalOperation:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", *["refused"] * 7]
    assert AuditEntry.objects.count() == 1


def test_in_a_bulk_what_cannot_be_done_keeps_nothing_else_from_being_done(drain):
    first, second, third = make_dead(drain, 1, 2, 3)
    discard(second.id)
    results = operations.each(operations.retry_dead_letter, [first.id, second.id, third.id], "mended")
    assert [(result.delivery_id, result.done) for result in results] == [
        (first.id, True),
        (second.id, False),
        (third.id, True),
    ]
    assert "staff:ada discarded it" in results[1].detail
    assert set(Delivery.objects.values_list("id", "state")) == {(first.id, "ready"), (third.id, "ready")}


@pytest.mark.requirement("M25")
def test_the_saga_of_a_retried_command_goes_on_with_the_steps_whole_time(drain, told_of_saga):
    bench = uuid4()
    with unit_of_work():
        saga_id = start(ONE_STEP, key=bench, data={"bench_id": bench})
    drain()
    assert (Saga.objects.get(id=saga_id).status, told_of_saga) == ("forward_stuck", ["stuck"])
    retry(Delivery.objects.get(state="dead").id)
    expire_late_steps()
    saga = Saga.objects.get(id=saga_id)
    assert (saga.status, saga.reason, saga.steps.get().status) == ("running", "", "running")
    assert timedelta(minutes=9) < saga.deadline_at - timezone.now() <= timedelta(minutes=10)


@pytest.mark.requirement("M15")
def test_what_killed_its_workers_is_retried_alone_and_set_aside_at_the_next_crash(drain, invariants_hold):
    (dead,) = make_dead(drain, 1)
    Delivery.objects.filter(id=dead.id).update(crashes=3)
    retry(dead.id)
    row = Delivery.objects.get(id=dead.id)
    assert (row.state, row.crashes, row.attempts) == ("isolated", 2, 0)


@pytest.mark.requirement("M29")
def test_a_paused_consumer_gets_no_work_and_the_others_do(drain, invariants_hold):
    with unit_of_work():
        control.pause(["lab.note"], "an incident")
        waiting = send(Note(bench_id=uuid4(), number=1))
        send(Single(bench_id=uuid4(), number=2))
    drain(until=lambda: Effect.objects.filter(label="single").exists())
    drain(until=lambda: True)
    assert list(Delivery.objects.values_list("message_id", "consumer", "state")) == [(waiting, "lab.note", "ready")]
    assert not Effect.objects.filter(label="note").exists()


@pytest.mark.requirement("M29")
def test_a_running_worker_stops_and_goes_on_within_a_second(transactional_db):
    worker = shift.Shift()
    try:
        control.paused()
        with unit_of_work():
            control.pause(["lab.note"], "an incident")
        stale_until = time.monotonic() + control.CACHE_SECONDS
        while time.monotonic() < stale_until:
            worker.run(shift.never, seconds=0.02)
        with unit_of_work():
            send(Note(bench_id=uuid4(), number=1))
        worker.run(shift.never, seconds=0.3)
        assert not Effect.objects.filter(label="note").exists()

        resumed: list[float] = []

        def resume() -> None:
            with unit_of_work():
                control.resume(["lab.note"], "over")
            resumed.append(time.monotonic())
            connection.close()

        thread = threading.Timer(0.1, resume)
        thread.start()
        worker.run(stopping=lambda: Effect.objects.filter(label="note").exists(), seconds=5)
        thread.join()
        assert Effect.objects.filter(label="note").count() == 1
        assert time.monotonic() - resumed[0] < 1
    finally:
        worker.me.sign_out()
        worker.abandon()


@pytest.mark.requirement("M29")
def test_pausing_and_resuming_are_audited_once_each(transactional_db):
    with scope(actor="staff:ada"):
        for _ in range(2):
            with unit_of_work():
                control.pause(["lab.note"], "an incident")
        with unit_of_work():
            assert control.resume(["lab.note", "lab.noted"], "over") == ["lab.note"]
    entries = AuditEntry.objects.order_by("id").values_list("actor", "action", "subject", "reason")
    assert list(entries) == [
        ("staff:ada", "outbox.pause_consumer", "consumer:lab.note", "an incident"),
        ("staff:ada", "outbox.resume_consumer", "consumer:lab.note", "over"),
    ]
    row = ConsumerControl.objects.get()
    assert (row.consumer, row.paused, row.reason, row.actor) == ("lab.note", False, "over", "staff:ada")


def test_an_unknown_consumer_cannot_be_paused(transactional_db):
    told = r"No consumer is called 'lab.nope'. There are: .*lab.note"
    with pytest.raises(IllegalOperation, match=told), unit_of_work():
        control.pause(["lab.note", "lab.nope"], "an incident")
    assert not ConsumerControl.objects.exists()


@pytest.mark.requirement("M38")
def test_the_work_of_a_paused_consumer_is_not_overdue(transactional_db):
    with unit_of_work():
        send(Note(bench_id=uuid4(), number=1))
    Delivery.objects.update(enqueued_at=Now() - timedelta(minutes=5))
    assert (overdue(), round(stats.oldest_due_seconds(), -1)) == (1, 300)
    with unit_of_work():
        control.pause(["lab.note"], "an incident")
    assert (overdue(), stats.oldest_due_seconds()) == (0, 0)


def overdue() -> int:
    return next(verdict.violations for verdict in verify() if verdict.name == "outbox.nothing_overdue")


def test_a_retried_dead_letter_is_not_overdue_at_once(drain, invariants_hold):
    (dead,) = make_dead(drain, 1)
    Delivery.objects.filter(id=dead.id).update(enqueued_at=timezone.now() - timedelta(hours=2))
    retry(dead.id)
    assert overdue() == 0
    assert Message.objects.count() == 1
