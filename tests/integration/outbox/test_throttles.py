"""Operators open and close breakers, and set limits, while everything runs; each decision is audited."""

import getpass
import json
from collections import Counter
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from uuid_utils.compat import uuid7

from outbox import breakers, control, gates, stats
from outbox.consumers import find
from outbox.engine.identity import listen_parameters
from outbox.engine.shift import Shift, never
from outbox.engine.transactional import PLACE_CLASS
from outbox.models import AuditEntry, Breaker, BreakerChange, Worker
from tests.integration.outbox.asking import ask, call, effects, single, sql
from tests.lab import handlers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M29")]
LAB = "lab"
ME = f"command:{getpass.getuser()}"


@pytest.fixture(autouse=True)
def nothing_remembered():
    control.forget()
    yield
    control.forget()


@pytest.fixture
def worker(transactional_db):
    worker = Shift()
    yield worker
    worker.me.sign_out()
    worker.abandon()


def outbox(*arguments: object) -> str:
    out = StringIO()
    call_command("outbox", *(str(argument) for argument in arguments), stdout=out)
    return out.getvalue()


def row() -> Breaker:
    return Breaker.objects.get(destination=LAB)


def may_be_called() -> bool:
    me = uuid7()
    Worker.objects.create(id=me, host="elsewhere", pid=1, lock=1)
    return gates.ask(find("lab.call"), me, Counter(), want=1, alone=True).calls == 1


def work_for_a_while(worker: Shift) -> None:
    worker.run(never, seconds=0.3)


@pytest.mark.requirement("M12")
def test_an_opened_breaker_lets_nothing_pass_until_somebody_closes_it(worker):
    outbox("breaker", "open", LAB, "--reason", "their maintenance")
    ask(call(1))
    work_for_a_while(worker)
    assert handlers.calls == {}
    assert not breakers.take_probe(LAB), "no probe either"
    outbox("breaker", "close", LAB, "--reason", "they are done")
    worker.run(lambda: effects() == ["answer"], seconds=10)
    assert effects() == ["answer"]
    changes = BreakerChange.objects.order_by("id").values_list("from_state", "to_state", "reason", "actor")
    assert list(changes) == [
        ("closed", "open", "their maintenance", ME),
        ("open", "closed", "they are done", ME),
    ]
    audited = AuditEntry.objects.order_by("id").values_list("action", "subject", "reason", "actor")
    assert list(audited) == [
        ("outbox.open_breaker", "destination:lab", "their maintenance", ME),
        ("outbox.close_breaker", "destination:lab", "they are done", ME),
    ]


@pytest.mark.requirement("M12")
def test_a_breaker_opened_for_a_time_is_probed_when_that_is_over(worker):
    outbox("breaker", "open", LAB, "--reason", "their maintenance", "--for", 600)
    assert not may_be_called()
    sql("UPDATE outbox_breaker SET pinned_until = now() - interval '1 s'")
    ask(call(1))
    worker.run(lambda: row().state == "closed", seconds=10)
    assert effects() == ["answer"]
    assert [change.to_state for change in BreakerChange.objects.order_by("id")] == ["open", "half_open", "closed"]


@pytest.mark.requirement("M12")
def test_a_breaker_closed_for_a_time_is_opened_by_no_failure_before_that_is_over(worker):
    outbox("breaker", "close", LAB, "--reason", "their errors are harmless", "--for", 600)
    breakers.failed(LAB, probe=False, reason="down", times=20)
    assert (row().state, row().reason) == ("closed", "their errors are harmless")
    sql("UPDATE outbox_breaker SET pinned_until = now() - interval '1 s'")
    breakers.failed(LAB, probe=False, reason="down")
    assert (row().state, row().pinned) == ("open", False)


@pytest.mark.requirement("M12")
def test_the_probe_of_a_breaker_that_was_opened_meanwhile_does_not_close_it(worker):
    breakers.failed(LAB, probe=False, reason="down", times=5)
    sql("UPDATE outbox_breaker SET open_until = now()")
    assert breakers.take_probe(LAB)
    outbox("breaker", "open", LAB, "--reason", "leave them alone")
    breakers.probe_succeeded(LAB)
    assert (row().state, may_be_called()) == ("open", False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("breaker", "open", "nowhere", "--reason", "x"), "No destination is called 'nowhere'"),
        (("breaker", "open", LAB, "--reason", " "), "Say why"),
        (("throttle", "--destination", "nowhere", "--per-second", 1, "--reason", "x"), "No destination is called"),
        (("throttle", "--consumer", "nobody", "--per-second", 1, "--reason", "x"), "No consumer is called 'nobody'"),
        (("throttle", "--destination", LAB, "--reason", "x"), "Say what holds"),
        (("throttle", "--destination", LAB, "--concurrency", 0, "--reason", "x"), "A limit is above zero"),
        (("throttle", "--destination", LAB, "--lift", "--reason", "x"), "Nobody throttles 'lab'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(worker, arguments, said):
    with pytest.raises(CommandError, match=said):
        outbox(*arguments)
    assert not AuditEntry.objects.exists()
    assert (row().state, row().limit_per_second) == ("closed", None)


def test_a_dry_run_changes_nothing(worker):
    would = json.loads(outbox("breaker", "open", LAB, "--reason", "x", "--dry-run", "--json"))
    assert would == {"would": "open the breaker of lab"}
    would = outbox("throttle", "--destination", LAB, "--per-second", 5, "--for", 60, "--reason", "x", "--dry-run")
    assert would.strip() == "Would throttle destination lab: 5 per second, for 0:01:00"
    assert (row().state, row().limit_per_second) == ("closed", None)


@pytest.mark.requirement("M11")
def test_a_throttled_destination_is_called_no_faster_from_the_next_question_on(worker):
    outbox("throttle", "--destination", LAB, "--per-second", 0.01, "--concurrency", 3, "--reason", "they asked for it")
    (shown,) = [view for view in stats.breakers() if view.destination == LAB]
    assert (shown.per_second, shown.concurrency, shown.throttle_reason) == (0.01, 3, "they asked for it")
    ask(*(call(number) for number in range(3)))
    work_for_a_while(worker)
    assert sum(handlers.calls.values()) == 1
    outbox("throttle", "--destination", LAB, "--lift", "--reason", "over")
    worker.run(lambda: len(effects()) == 3, seconds=10)
    assert sum(handlers.calls.values()) == 3
    audited = AuditEntry.objects.order_by("id").values_list("action", "subject", "before", "after")
    throttled = {"concurrency": 3, "per_second": 0.01}
    nothing = {"concurrency": None, "per_second": None}
    assert list(audited) == [
        ("outbox.throttle", "destination:lab", nothing, {**throttled, "seconds": None}),
        ("outbox.lift_throttle", "destination:lab", throttled, {**nothing, "seconds": None}),
    ]


@pytest.mark.requirement("M11")
def test_a_throttle_ends_by_itself_when_its_time_is_over(worker):
    outbox("throttle", "--destination", LAB, "--concurrency", 1, "--for", 600, "--reason", "they asked for it")
    ask(*(call(number, "wait") for number in range(3)))
    assert gates.ask(find("lab.call"), worker.me.id, Counter(), want=3).calls == 1
    sql("UPDATE outbox_breaker SET limit_until = now()")
    assert gates.ask(find("lab.call"), worker.me.id, Counter(), want=3).calls == 3


def test_a_throttled_consumer_handles_so_many_a_second_and_others_as_many_as_they_like(worker):
    outbox("throttle", "--consumer", "lab.note", "--per-second", 0.01, "--reason", "it floods the log")
    ask(single(1))
    for number in range(3):
        ask(handlers.Note(bench_id=handlers.UUID(int=1), number=number))
    worker.run(lambda: "note" in effects() and "single" in effects(), seconds=10)
    work_for_a_while(worker)
    assert Counter(effects())["note"] == 1
    assert stats.oldest_due_seconds() < 1
    sql("UPDATE outbox_control SET reckoned_at = reckoned_at - interval '100 s'")
    control.forget()
    worker.run(lambda: Counter(effects())["note"] == 2, seconds=10)
    work_for_a_while(worker)
    assert Counter(effects())["note"] == 2
    outbox("throttle", "--consumer", "lab.note", "--lift", "--reason", "it does not any more")
    worker.run(lambda: Counter(effects())["note"] == 3, seconds=10)
    assert Counter(effects())["note"] == 3


def test_a_throttled_consumer_that_calls_outside_is_slowed_down_alone(worker):
    outbox("throttle", "--consumer", "lab.call", "--per-second", 0.01, "--reason", "it is not urgent")
    ask(*(call(number) for number in range(3)))
    ask(handlers.CallToo(bench_id=handlers.UUID(int=1), number=1000))
    worker.run(lambda: handlers.calls[1000] == 1 and len(effects()) == 2, seconds=10)
    work_for_a_while(worker)
    assert sum(handlers.calls.values()) == 2


@pytest.mark.requirement("M17")
def test_a_consumer_has_so_many_batches_at_once_over_all_workers(worker, invariants_hold):
    outbox("throttle", "--consumer", "lab.single", "--concurrency", 1, "--reason", "it locks too much")
    ask(single(1), call(1))
    with psycopg.connect(**listen_parameters()) as another_worker:
        another_worker.execute("SELECT pg_advisory_xact_lock(%s, hashtext('lab.single 1'))", (PLACE_CLASS,))
        worker.run(lambda: "answer" in effects(), seconds=10)
        work_for_a_while(worker)
        assert effects() == ["answer"]
    worker.run(lambda: "single" in effects(), seconds=10)
    assert "single" in effects()


@pytest.mark.requirement("M7")
def test_a_consumer_without_limits_takes_no_further_statement(worker, statements):
    ask(single(1))
    control.limits_of("lab.single")
    statements.clear()
    worker.run(lambda: effects() == ["single"], seconds=10)
    assert not [statement for statement in statements if "generate_series(1" in statement], "no place is taken"
    assert not [statement for statement in statements if "UPDATE outbox_control" in statement]
