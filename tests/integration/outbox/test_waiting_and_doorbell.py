"""Waiting: woken at once, cheap while idle, and nothing depends on the bell."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import psycopg
import pytest
from django.db import IntegrityError, connection

from outbox import doorbell
from outbox.cancelling import cancel
from outbox.engine import queue, reaper, shift
from outbox.engine.identity import listen_parameters
from outbox.engine.shift import Shift, never
from outbox.models import Delivery, Receipt, Worker
from outbox.publishing import announce, send, unit_of_work
from tests.integration.outbox.asking import BENCH, ask, call, effects, single, sql
from tests.lab.commands import Note
from tests.lab.models import Effect
from tests.lab.ordered import Turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener():
    with psycopg.connect(**listen_parameters(), autocommit=True) as link:
        yield link


def heard(listener: psycopg.Connection, *, within: float) -> list[tuple[str, str]]:
    return [(ring.channel, ring.payload) for ring in listener.notifies(timeout=within, stop_after=1)]


@pytest.fixture
def worker(transactional_db):
    worker = Shift()
    yield worker
    worker.me.sign_out()


@pytest.mark.requirement("M7")
def test_a_commit_wakes_those_who_listen_after_it_and_names_the_consumer(listener):
    listener.execute(f"LISTEN {doorbell.WORK}")
    with unit_of_work():
        send(single())
        assert heard(listener, within=0.2) == [], "nothing rings before COMMIT"
    assert heard(listener, within=2) == [(doorbell.WORK, "lab.single")]


def test_a_rollback_rings_for_nobody(listener):
    listener.execute(f"LISTEN {doorbell.WORK}")
    with pytest.raises(ZeroDivisionError), unit_of_work():
        send(single(int(1 / 0)))
    assert heard(listener, within=0.2) == []


def test_streams_are_rung_with_what_was_announced(listener):
    listener.execute("LISTEN somewhere")
    with unit_of_work():
        send(single())
        announce("somewhere", "order 1")
    assert heard(listener, within=2) == [("somewhere", "order 1")]


def latest_message_to_the_server() -> str:
    with psycopg.connect(**listen_parameters(), autocommit=True) as other:
        own = connection.connection.info.backend_pid
        return other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [own]).fetchone()[0]


def test_a_whole_unit_of_work_is_rung_for_in_one_trip_with_its_commit(transactional_db):
    with unit_of_work():
        send(single(1))
        send(single(2))
        send(call(1))
        announce("somewhere", "it's x")
    commit, *rings = latest_message_to_the_server().split("; ")
    assert commit == "COMMIT"
    work = f'NOTIFY "{doorbell.WORK}"'
    assert set(rings) == {"NOTIFY \"somewhere\", 'it''s x'", f"{work}, 'lab.call'", f"{work}, 'lab.single'"}
    assert len(rings) == 3


def test_what_is_announced_without_any_statement_is_rung_too(listener):
    listener.execute("LISTEN somewhere")
    with unit_of_work():
        announce("somewhere", "order 1")
    assert heard(listener, within=2) == [("somewhere", "order 1")]


def test_a_failed_commit_rings_for_nobody_then_or_later(listener):
    sql("CREATE TABLE lab_late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    listener.execute("LISTEN somewhere")
    with pytest.raises(IntegrityError), unit_of_work() as unit:
        unit.rings.update([("somewhere", "order 1")] * len(sql("INSERT INTO lab_late VALUES (1), (1) RETURNING n")))
    with unit_of_work():
        announce("somewhere", "order 2")
    assert heard(listener, within=2) == [("somewhere", "order 2")]
    sql("DROP TABLE lab_late")


def test_a_lost_ring_fails_nobody_and_polling_finds_the_message(drain, capsys):
    with unit_of_work():
        send(single())
        announce("somewhere", "longer than a ring may be" * 1000)
    assert "doorbell_lost" in capsys.readouterr().err
    drain()
    assert effects() == ["single"]


@pytest.mark.requirement("M7")
def test_a_sleeping_worker_begins_at_once_when_the_bell_rings(worker, settings):
    settings.POLL_SECONDS = 30.0
    worker.run(never, seconds=0.05)
    rung: list[float] = []

    def ring() -> None:
        time.sleep(0.4)
        rung.append(time.monotonic())
        ask(single())
        connection.close()

    elsewhere = threading.Thread(target=ring)
    elsewhere.start()
    worker.run(lambda: Effect.objects.exists(), seconds=5)
    elsewhere.join()
    assert effects() == ["single"]
    assert time.monotonic() - rung[0] < 0.5


def claims(statements: list[str]) -> int:
    return len([statement for statement in statements if "FOR UPDATE SKIP LOCKED" in statement])


def note(number: int) -> Note:
    return Note(bench_id=BENCH, number=number)


def test_a_batch_that_took_all_there_was_is_not_followed_by_an_empty_claim(worker, statements):
    ask(note(1), note(2), note(3))
    worker.run(lambda: len(effects()) == 6, seconds=5)
    worker.run(never, seconds=0.05)
    assert sorted(effects()) == ["note"] * 3 + ["noted"] * 3
    assert claims(statements) == 2, "one for each of the two consumers"


def test_messages_that_follow_each_other_gather_for_the_next_batch(worker, monkeypatch):
    rests: list[float] = []
    monkeypatch.setattr(shift, "REST_SECONDS", 30.0)
    monkeypatch.setattr(shift, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append))
    ask(note(1))
    worker.run(lambda: effects().count("note") == 1, seconds=5)
    assert rests == [], "one that comes alone is begun at once"
    ask(note(2))
    worker.run(lambda: effects().count("note") == 2, seconds=5)
    assert len(rests) == 1
    assert 20 < rests[0] <= 30


@pytest.mark.requirement("M7")
def test_an_idle_worker_looks_around_with_one_statement_a_second(worker, statements):
    worker.run(never, seconds=0.05)
    statements.clear()
    worker.run(never, seconds=2.0)
    assert 1 <= len(statements) <= 3, statements


def test_a_worker_told_to_stop_ends_its_shift_early(worker):
    started = time.monotonic()
    worker.run(lambda: True, seconds=10)
    assert time.monotonic() - started < 1.0


@pytest.mark.requirement("M16")
def test_timers_fire_by_the_database_clock_when_they_are_due(drain):
    with unit_of_work():
        send(single(1), delay=timedelta(seconds=0.5))
    drain()
    ((waited,),) = sql(
        "SELECT extract(epoch FROM r.finished_at - m.created_at) FROM outbox_receipt r, outbox_message m"
        " WHERE m.id = r.message_id"
    )
    assert 0.5 <= float(waited) < 1.5


LATENESS = """
SELECT extract(epoch FROM r.finished_at - m.created_at) - (m.payload ->> 'number')::int / 1000.0
FROM outbox_receipt r JOIN outbox_message m ON m.id = r.message_id
"""


@pytest.mark.requirement("M16")
def test_a_timer_that_another_process_sets_wakes_a_sleeping_worker_when_it_is_due(worker, settings):
    """The worker looks every 30 s only: were it not told, it would find none of them within the test."""
    settings.POLL_SECONDS = 30.0
    delays = [100, 900, 400, 250, 700, 150, 600]

    def set_timers() -> None:
        for delay in delays:
            time.sleep(0.02)
            with unit_of_work():
                send(single(delay), delay=timedelta(milliseconds=delay))
        connection.close()

    worker.run(never, seconds=0.05)
    elsewhere = threading.Thread(target=set_timers)
    elsewhere.start()
    worker.run(lambda: Receipt.objects.count() == len(delays), seconds=20)
    elsewhere.join()
    lateness = sorted(float(late) for (late,) in sql(LATENESS))
    assert len(lateness) == len(delays)
    assert lateness[0] >= 0, "none is early"
    assert lateness[-1] < 5, lateness


@pytest.mark.requirement("M10", "M16")
def test_a_retry_is_made_when_it_is_due_and_not_when_the_next_look_is(worker, settings):
    settings.POLL_SECONDS = 30.0
    ask(single(1, "fail_once"))
    worker.run(lambda: Receipt.objects.exists(), seconds=20)
    assert Receipt.objects.get().attempts == 2


@pytest.mark.requirement("M14", "M16")
def test_a_timer_that_becomes_the_head_of_its_key_rings_for_the_time_that_it_still_has(listener, transactional_db):
    listener.execute(f"LISTEN {doorbell.WORK}")
    first = ask(Turn(bench_id=BENCH, number=1))
    with unit_of_work():
        send(Turn(bench_id=BENCH, number=2), delay=timedelta(seconds=0.8))
    list(listener.notifies(timeout=0.2))
    with unit_of_work():
        assert cancel(*first)
    (ring,) = heard(listener, within=2)
    assert 0 < doorbell.soonest_due([ring[1]]) <= 0.8


def test_timers_further_off_than_the_next_look_ring_for_nobody(listener, transactional_db):
    listener.execute(f"LISTEN {doorbell.WORK}")
    with unit_of_work():
        send(single(), delay=timedelta(seconds=5))
    assert heard(listener, within=0.2) == []


@pytest.mark.requirement("M16")
def test_a_crowd_of_timers_due_at_once_becomes_ready_without_pauses(worker):
    with unit_of_work():
        for number in range(1_201):
            send(single(number), delay=timedelta(hours=1))
    sql("UPDATE outbox_delivery SET due_at = now() - interval '1 s'")
    assert [queue.promote_due() for _ in range(3)] == [
        (["lab.single"], 0.0),
        (["lab.single"], 0.0),
        (["lab.single"], None),
    ]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"ready"}


def test_a_worker_shows_that_it_lives_and_leaves_no_trace_when_it_signs_out(transactional_db):
    worker = Shift()
    assert Worker.objects.filter(id=worker.me.id).exists()
    worker.me.sign_out()
    assert not Worker.objects.exists()
    assert not worker.me.alive


def lose_a_worker(**changes: object) -> Shift:
    """Have a worker lose its connection with a message in hand; return it."""
    lost = Shift()
    lost.me.note("lab.single", list(Delivery.objects.values_list("id", flat=True)))
    lost.me.seen()  # answered, so the note is
    lost.me.close()
    Worker.objects.filter(id=lost.me.id).update(**changes)
    return lost


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"host": "elsewhere"}, id="on a host of which nothing is known"),
        pytest.param({"pid": 2**22 + 1}, id="whose process is gone"),
        pytest.param({"pid": 1, "id": UUID(int=0)}, id="whose number another process has now"),
    ],
)
def test_a_worker_that_is_gone_is_taken_over_by_others_and_the_crash_counted(worker, changes):
    (message_id,) = ask(single())
    lose_a_worker(**changes)
    worker.run(lambda: Receipt.objects.exists(), seconds=5)
    assert list(Worker.objects.values_list("id", flat=True)) == [worker.me.id]
    assert Receipt.objects.get().message_id == message_id
    kinds = sql("SELECT kind, error_class FROM outbox_attempt")
    assert kinds == [("crash", "WorkerDied")]


def test_a_worker_that_lost_only_its_connection_is_not_taken_for_dead(worker):
    ask(single())
    lost = lose_a_worker()
    worker.run(lambda: Receipt.objects.exists(), seconds=5)
    assert Receipt.objects.exists()
    assert sql("SELECT kind FROM outbox_attempt") == []
    reaper.forgive([lost.me.id])
    assert list(Worker.objects.values_list("id", flat=True)) == [worker.me.id]


def test_a_worker_whose_own_connection_broke_between_shifts_signs_in_anew_and_leaves_no_row_behind(transactional_db):
    shift.run_shift(seconds=0.01)
    first = Worker.objects.get()
    shift._shift.me.close()
    shift.run_shift(seconds=0.01)
    try:
        assert Worker.objects.get().id != first.id
    finally:
        shift.sign_out()
        shift._shift = None
