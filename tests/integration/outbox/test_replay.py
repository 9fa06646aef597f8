"""Events of the past are handed to one consumer, once more only when told so, and nothing is made twice."""

import dataclasses
import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from outbox import consumers, housekeeping, replay
from outbox.cli import replay as command
from outbox.consumers import consumer
from outbox.engine import shift
from outbox.engine.identity import listen_parameters
from outbox.errors import IllegalOperation
from outbox.models import AuditEntry, Delivery, FormerReceipt, Message, Receipt
from outbox.publishing import unit_of_work
from tests.integration.outbox.asking import ask, single, sql, tell
from tests.lab.commands import Noted
from tests.lab.models import Effect
from tests.lab.ordered import Moved
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M20")]

A, B = uuid4(), uuid4()
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


def noted(*numbers: int, bench: UUID = A) -> list[UUID]:
    return tell(*(Noted(bench_id=bench, number=number) for number in numbers))


def outbox(*arguments: object, err: StringIO | None = None) -> str:
    out = StringIO()
    call_command("outbox", *(str(argument) for argument in arguments), stdout=out, stderr=err or StringIO())
    return out.getvalue()


def replayed(*arguments: object) -> dict:
    return json.loads(outbox("replay", *arguments, "--reason", "a new report", "--json"))


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


@pytest.fixture
def newcomer(monkeypatch) -> str:
    """A consumer that came after the events: it writes down their numbers."""
    for table in ("_consumers", "_subscribers"):
        monkeypatch.setattr(consumers, table, dict(getattr(consumers, table)))

    @consumer(Noted, name="lab.newcomer", batch=20)
    def count(event: Noted, message: consumers.Incoming) -> None:
        Effect.objects.create(message_id=message.id, label="new", number=event.number)

    return "lab.newcomer"


@pytest.fixture
def work_off(newcomer):
    """Return a function that works, as a worker that knows the newcomer, until nothing is left."""

    def work() -> None:
        worker = shift.Shift()
        eventually(lambda: worker.run(shift.never, seconds=0.05) or not Delivery.objects.exists(), 20)
        worker.me.sign_out()
        worker.abandon()

    return work


def numbers(label: str = "new") -> list[int]:
    return list(Effect.objects.filter(label=label).order_by("id").values_list("number", flat=True))


@pytest.fixture
def history(drain) -> list[UUID]:
    """Five events that all their consumers have finished."""
    ids = noted(1, 2, 3, 4, 5)
    drain()
    assert numbers("noted") == [1, 2, 3, 4, 5]
    return ids


# --- a new consumer --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("M21")
def test_a_new_consumer_gets_the_events_of_before_it_came_behind_what_is_said_now(history, newcomer, invariants_hold):
    assert replayed(newcomer, "--since", LONG_AGO.isoformat())["made"] == 5
    assert set(Delivery.objects.values_list("consumer", "priority")) == {(newcomer, replay.BEHIND)}


@pytest.mark.requirement("M21")
def test_what_is_replayed_is_handled_like_any_other_message(history, newcomer, work_off, invariants_hold):
    replayed(newcomer, "--since", LONG_AGO.isoformat())
    work_off()
    assert sorted(numbers()) == [1, 2, 3, 4, 5]
    assert Receipt.objects.filter(consumer=newcomer).count() == 5
    assert numbers("noted") == [1, 2, 3, 4, 5]


@pytest.mark.requirement("M21")
def test_a_second_run_changes_nothing(history, newcomer, work_off):
    since = LONG_AGO.isoformat()
    assert (replayed(newcomer, "--since", since)["made"], replayed(newcomer, "--since", since)["made"]) == (5, 0)
    work_off()
    assert replayed(newcomer, "--since", since)["made"] == 0
    assert Delivery.objects.count() == 0
    assert sorted(numbers()) == [1, 2, 3, 4, 5]


# --- what was finished before ----------------------------------------------------------------------------------------


def test_what_a_consumer_has_finished_is_handed_to_it_again_only_when_told_so(history, drain, invariants_hold):
    since = LONG_AGO.isoformat()
    assert replayed("lab.noted", "--since", since)["made"] == 0
    assert replayed("lab.noted", "--since", since, "--again")["made"] == 5
    assert not Receipt.objects.exists()
    drain()
    assert sorted(numbers("noted")) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_former_receipt_is_kept_and_says_which_replay_set_it_aside(history, drain):
    before = dict(Receipt.objects.values_list("message_id", "finished_at"))
    found = replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--again")
    drain()
    assert dict(FormerReceipt.objects.values_list("message_id", "finished_at")) == before
    assert set(FormerReceipt.objects.values_list("replay_id", flat=True)) == {UUID(found["replay"])}
    assert Receipt.objects.count() == 5
    shown = json.loads(outbox("show", history[0], "--json"))
    assert (len(shown["former_receipts"]), len(shown["receipts"])) == (1, 1)


def test_going_on_hands_nothing_out_again_that_the_replay_has_brought_about(history, drain):
    found = replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--again")
    drain()
    assert replayed("--resume", found["replay"])["made"] == 0
    assert FormerReceipt.objects.count() == 5


def test_an_interrupted_replay_goes_on_where_it_was(history, drain, monkeypatch):
    monkeypatch.setattr(command, "PORTION", 2)
    real, portions = replay._hand_out, []

    def interrupted(begun, portion):
        made = real(begun, portion)
        portions.append(made)
        if len(portions) == 2:
            raise KeyboardInterrupt  # in the middle of the second transaction: it rolls back
        return made

    monkeypatch.setattr(replay, "_hand_out", interrupted)
    err = StringIO()
    with pytest.raises(CommandError, match=r"2 are handed out.*--resume") as stopped:
        outbox("replay", "lab.noted", "--since", LONG_AGO.isoformat(), "--again", "--reason", "x", err=err)
    assert stopped.value.returncode == 130
    assert (Delivery.objects.count(), Receipt.objects.count()) == (2, 3)
    drain()
    begun = err.getvalue().split()[1]
    assert replayed("--resume", begun)["made"] == 3
    drain()
    assert sorted(numbers("noted")) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_what_is_still_on_its_way_is_left_alone(transactional_db):
    noted(1)
    assert replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--again")["made"] == 0
    assert Delivery.objects.get().priority == 0


# --- which events ----------------------------------------------------------------------------------------------------


def test_the_range_the_aggregate_and_the_consumer_choose(drain, newcomer):
    (first,) = noted(1)
    middle = datetime.now(UTC)
    sql("SELECT pg_sleep(0.01)")
    second, third = noted(2, bench=B)[0], noted(3)[0]
    ask(single(4))
    drain(until=lambda: not Delivery.objects.exclude(consumer=newcomer).exists())
    Delivery.objects.all().delete()
    Receipt.objects.filter(consumer=newcomer).delete()

    def chosen(**filters) -> set[UUID]:
        with unit_of_work():
            begun = replay.begin(replay.choose(newcomer, **{"since": LONG_AGO, "until": soon(), **filters}), "x")
        list(replay.run(begun, 10, print))
        found = set(Delivery.objects.values_list("message_id", flat=True))
        Delivery.objects.all().delete()
        return found

    assert chosen() == {first, second, third}
    assert chosen(since=middle) == {second, third}
    assert chosen(until=middle) == {first}
    assert chosen(aggregate_id=B) == {second}
    assert chosen(name="lab.noted") == {first, second, third}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("lab.nobody", "--since", "2026-01-01"), "No consumer is called 'lab.nobody'"),
        (("lab.noted", "--since", "2026-01-01", "--name", "lab.note"), "lab.note is a command"),
        (("lab.noted", "--since", "2026-01-01", "--name", "lab.moved"), "lab.noted does not listen to lab.moved"),
        (("lab.note", "--since", "2026-01-01"), "lab.note does not listen to any event"),
        (("lab.noted", "--since", "2026-01-02", "--until", "2026-01-01"), "The range is empty"),
        (("lab.noted",), "Say from when on"),
        ((), "Name the consumer and --since, or --resume"),
        (("lab.noted", "--since", "2026-01-01", "--rate", "0"), "--rate is a number"),
        (("--resume", uuid4()), "There is no replay"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_words(transactional_db, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        outbox("replay", *arguments, "--reason", "x")
    assert not AuditEntry.objects.exists()


def test_an_event_that_promises_not_to_come_late_is_not_replayed(newcomer, monkeypatch):
    entry = consumers.find(newcomer)
    expiring = dataclasses.replace(entry.contracts[0], expires_after=timedelta(seconds=5))
    monkeypatch.setitem(consumers._consumers, newcomer, dataclasses.replace(entry, contracts=(expiring,)))
    with pytest.raises(IllegalOperation, match=r"lab\.noted expires"):
        replay.choose(newcomer, LONG_AGO, soon())


# --- seeing before doing, doing slowly -------------------------------------------------------------------------------


def test_a_dry_run_counts_and_makes_nothing(history, drain, newcomer):
    assert replayed(newcomer, "--since", LONG_AGO.isoformat(), "--dry-run") == {
        "would": "replay", "deliveries": 5, "missing": 5, "finished": 0, "queued": 0, "consumer": newcomer,
    }  # fmt: skip
    found = replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--dry-run")
    assert (found["deliveries"], found["finished"]) == (0, 5)
    assert replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--again", "--dry-run")["deliveries"] == 5
    assert not Delivery.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_replay_keeps_to_its_rate(history, newcomer, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(command, "time", Clock(slept))
    replayed(newcomer, "--since", LONG_AGO.isoformat(), "--rate", "2")
    assert slept == [1.0, 2.0, 2.5], "two at a time, two a second"


class Clock:
    """A clock that stands still."""

    def __init__(self, slept: list[float]) -> None:
        self.sleep = slept.append

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.requirement("M27")
def test_who_replayed_what_and_why_is_written_down(history):
    found = replayed("lab.noted", "--since", LONG_AGO.isoformat(), "--again")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.reason) == ("outbox.replay", f"replay:{found['replay']}", "a new report")
    assert (entry.after["consumer"], entry.after["again"]) == ("lab.noted", True)


# --- beside others ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("M8")
def test_what_a_transaction_said_that_was_open_when_the_replay_began_is_not_missed(newcomer, drain):
    late = psycopg.connect(**listen_parameters())
    message_id = UUID(int=int(datetime.now(UTC).timestamp() * 1000) << 80)
    late.execute(
        "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
        " VALUES (%s, 'lab.noted', 1, 'event', 'bench', %s, '{}', %s)", (message_id, A, A),
    )  # fmt: skip
    noted(1)
    Delivery.objects.all().delete()
    assert not replay.wait_for_open_transactions(0.2)
    timer = threading.Timer(0.5, late.commit)
    timer.start()
    assert replayed(newcomer, "--since", LONG_AGO.isoformat())["made"] == 2
    timer.join()
    late.close()
    assert message_id in set(Delivery.objects.values_list("message_id", flat=True))


def test_two_replays_at_once_make_each_delivery_once(history, newcomer):
    with unit_of_work():
        begun = replay.begin(replay.choose(newcomer, LONG_AGO, soon()), "x")
    made: list[int] = []

    def second() -> None:
        made.extend(portion.made for portion in replay.run(begun, 10, print))
        connection.close()

    other = threading.Thread(target=second)
    portion = next(replay._portions(begun.range, 10))
    with unit_of_work() as unit:
        assert replay._hand_out(begun, portion) == 5
        unit.flush()  # the deliveries are written, and not committed
        other.start()
        eventually(lambda: sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
    other.join()
    assert made == [0]
    assert Delivery.objects.filter(consumer=newcomer).count() == 5


@pytest.mark.requirement("M14")
def test_a_consumer_that_asks_for_order_gets_the_past_in_order(drain, invariants_hold):
    tell(*(Moved(bench_id=A, number=number, town="Lisbon") for number in range(8)))
    drain()
    Effect.objects.all().delete()
    assert replayed("lab.track", "--since", LONG_AGO.isoformat(), "--again")["made"] == 8
    assert Delivery.objects.filter(state="held").count() == 7
    drain()
    assert list(Effect.objects.order_by("id").values_list("number", flat=True)) == list(range(8))


@pytest.mark.requirement("M42")
def test_a_month_with_a_replayed_message_is_not_dropped(history, newcomer, settings):
    settings.MESSAGES_KEPT_DAYS = settings.RECEIPTS_KEPT_DAYS = -40
    replayed(newcomer, "--since", LONG_AGO.isoformat())
    try:
        report = json.loads(outbox("prune", "--reason", "x", "--json"))
    finally:
        housekeeping.create_partitions()  # the months without messages went
    assert {month["kept_because"] for month in report["months"] if "message" in month["name"] and not month["goes"]}
    assert Message.objects.count() == 5
