"""What is over its time goes: whole months beside live traffic, rows in portions; what is needed stays."""

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.checks import run_checks
from django.db import connection

from outbox import housekeeping, partitions, retention
from outbox.archive import dropped_months, what_became_of
from outbox.checks import check_retention
from outbox.engine.identity import listen_parameters
from outbox.invariants import verify
from outbox.models import Attempt, Delivery, DroppedPartition, FormerReceipt, IdempotencyRecord, Message, Receipt, Saga
from outbox.partitions import MESSAGES, RECEIPTS
from tests.integration.outbox.asking import ask, single, sql
from tests.integration.outbox.dead import make_dead

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M42")]

THIS_MONTH = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
AT_ONCE = -40
"""Days to keep that make the present month one that is over its time."""


@pytest.fixture(autouse=True)
def whole_again(transactional_db):
    """Make what a test dropped anew, and drop the months long ago that it made."""
    yield
    housekeeping.create_partitions()
    for month in [*partitions.months(MESSAGES), *partitions.months(RECEIPTS)]:
        if month.ends < THIS_MONTH - timedelta(days=31):
            sql(f"DROP TABLE {month.name}")


@pytest.fixture
def over(settings):
    """Everything up to this month is over its time."""
    settings.MESSAGES_KEPT_DAYS = settings.RECEIPTS_KEPT_DAYS = settings.ATTEMPTS_KEPT_DAYS = AT_ONCE


def month_of(parent: str, begins: datetime = THIS_MONTH) -> partitions.Month:
    (found,) = [month for month in partitions.months(parent) if month.begins == begins]
    return found


def old_month(years_ago: int = 3) -> datetime:
    """Make partitions of a month long ago; return when it begins."""
    begins = THIS_MONTH.replace(year=THIS_MONTH.year - years_ago)
    for parent in (MESSAGES, RECEIPTS):
        sql("SELECT outbox_create_partition(%s, %s)", parent, begins.date())
    return begins


def said_in(month: datetime, correlation_id: UUID | None = None) -> UUID:
    """Write a message of a month."""
    message_id = UUID(int=(int((month + timedelta(days=3)).timestamp() * 1000) << 80) + uuid4().int % (1 << 60))
    Message.objects.create(
        id=message_id, name="lab.noted", version=1, kind="event", aggregate="bench", aggregate_id=uuid4(),
        payload={}, correlation_id=correlation_id or uuid4(),
    )  # fmt: skip
    return message_id


def names(parent: str) -> list[str]:
    return [month.name for month in partitions.months(parent)]


def held(name: str) -> list[str]:
    return [old.held for old in retention.old_months() if old.month.name == name]


# --- months ----------------------------------------------------------------------------------------------------------


def test_a_month_over_its_time_goes_with_its_messages_then_its_receipts_and_is_remembered():
    begins = old_month()
    message_id = said_in(begins)
    Receipt.objects.create(message_id=message_id, consumer="lab.noted", attempts=1, duration_ms=1)
    messages, receipts = month_of(MESSAGES, begins), month_of(RECEIPTS, begins)
    report = retention.prune(seconds=60)
    assert [(old.month.name, old.held) for old in report.months] == [(messages.name, ""), (receipts.name, "")]
    assert not Message.objects.filter(id=message_id).exists()
    assert not Receipt.objects.filter(message_id=message_id).exists()
    assert sql("SELECT to_regclass(%s), to_regclass(%s)", messages.name, receipts.name) == [(None, None)]
    remembered = DroppedPartition.objects.get(name=messages.name)
    assert (remembered.begins, remembered.ends, remembered.parent) == (begins, messages.ends, MESSAGES)


def test_a_month_within_its_time_stays(settings):
    settings.MESSAGES_KEPT_DAYS = settings.RECEIPTS_KEPT_DAYS = 366 * 4
    old_month()
    assert retention.old_months() == []
    assert retention.prune(seconds=60).months == []
    settings.MESSAGES_KEPT_DAYS = settings.RECEIPTS_KEPT_DAYS = 400
    assert len(retention.old_months()) == 2


@pytest.mark.requirement("M8")
@pytest.mark.parametrize(("state", "words"), [("dead", "1 dead letter"), ("ready", "1 unfinished delivery")])
def test_a_month_stays_while_a_delivery_refers_to_it(state, words):
    begins = old_month()
    Delivery.objects.create(message_id=said_in(begins), consumer="lab.noted", state=state)
    month = month_of(MESSAGES, begins)
    assert held(month.name) == [words]
    assert retention.prune(seconds=60).months[0].held == words
    assert partitions.drop(month) == words
    assert month.name in names(MESSAGES)


@pytest.mark.requirement("M25")
def test_a_month_stays_while_an_unfinished_saga_has_its_history_there():
    begins, conversation = old_month(), uuid4()
    said_in(begins, conversation)
    Saga.objects.create(definition="lab.trip", version=1, key=uuid4(), correlation_id=conversation, status="suspended")
    month = month_of(MESSAGES, begins)
    assert held(month.name) == ["the history of 1 unfinished saga"]
    Saga.objects.update(status="completed")
    assert held(month.name) == [""]


@pytest.mark.requirement("M8")
def test_receipts_stay_as_long_as_their_messages_do():
    begins = old_month()
    Delivery.objects.create(message_id=said_in(begins), consumer="lab.noted", state="dead")
    retention.prune(seconds=60)
    assert month_of(RECEIPTS, begins).name in names(RECEIPTS)
    assert held(month_of(RECEIPTS, begins).name) == ["its messages are still there"]


def test_a_missing_month_is_filled_with_what_was_said_in_it_meanwhile():
    begins = old_month()
    sql(f"DROP TABLE {month_of(MESSAGES, begins).name}")
    message_id = said_in(begins)
    assert sql("SELECT tableoid::regclass::text FROM outbox_message") == [("outbox_message_default",)]
    assert sql("SELECT outbox_create_partition('outbox_message', %s)", begins.date()) == [(True,)]
    assert Message.objects.get().id == message_id
    assert sql("SELECT tableoid::regclass::text FROM outbox_message") == [(month_of(MESSAGES, begins).name,)]


# --- beside live traffic ---------------------------------------------------------------------------------------------


class Session:
    """Another session of the database."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(**listen_parameters())

    def read(self, table: str) -> None:
        """Hold what a reader holds until its transaction ends."""
        self.connection.execute(f"SELECT count(*) FROM {table}")

    def end(self) -> None:
        self.connection.close()


@pytest.fixture
def reader():
    session = Session()
    yield session
    session.end()


def test_a_long_reader_keeps_a_month_and_nobody_who_publishes_waits_behind_the_attempts(over, reader, monkeypatch):
    assert max(partitions.PATIENCE_MS) <= 50
    monkeypatch.setattr(partitions, "PATIENCE_MS", (1, *partitions.PATIENCE_MS[-3:]))
    reader.read(MESSAGES)
    month = month_of(MESSAGES)
    waits: list[float] = []
    over_now = threading.Event()

    def publish() -> None:
        while not over_now.is_set():
            began = time.perf_counter()
            ask(single())
            waits.append(time.perf_counter() - began)
        connection.close()

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        Delivery.objects.all().delete()
        why = partitions.drop(month)
    finally:
        over_now.set()
        publisher.join()
    assert why == "somebody was reading or writing all the time"
    assert month.name in names(MESSAGES)
    assert len(waits) > 5
    assert max(waits) < 2.0


def test_a_month_goes_as_soon_as_the_reader_does(over, reader):
    reader.read(MESSAGES)
    month = month_of(MESSAGES)
    timer = threading.Timer(0.5, reader.end)
    timer.start()
    assert partitions.drop(month) == ""
    timer.join()
    assert month.name not in names(MESSAGES)


def test_while_a_month_is_made_messages_are_read_and_written():
    maker = psycopg.connect(**listen_parameters())
    try:
        maker.execute("SELECT outbox_create_partition('outbox_message', '2019-05-01')")  # and not committed
        sql("SET lock_timeout = '500ms'")
        (message_id,) = ask(single())
        assert Message.objects.filter(id=message_id).exists()
    finally:
        maker.close()
        sql("SET lock_timeout = '5s'")


def test_one_housekeeper_at_a_time(monkeypatch, reader):
    monkeypatch.setattr(partitions, "PATIENCE_MS", (1, 1))
    reader.connection.execute("SELECT pg_advisory_lock(%s)", (partitions.HOUSEKEEPER_LOCK,))
    assert partitions.create(2) is None
    reader.end()
    assert partitions.create(2) == 0


def test_new_months_are_tuned_as_the_others_are():
    ((options,),) = sql("SELECT reloptions FROM pg_class WHERE relname = %s", month_of(MESSAGES).name)
    begins = old_month()
    assert sql("SELECT reloptions FROM pg_class WHERE relname = %s", month_of(RECEIPTS, begins).name) == [(options,)]
    assert "autovacuum_freeze_min_age=0" in options


# --- rows ------------------------------------------------------------------------------------------------------------


def test_attempts_go_after_their_time_but_not_those_of_what_still_waits(drain, settings):
    make_dead(drain, 1)
    Attempt.objects.create(
        message_id=uuid4(), consumer="lab.note", number=1, kind="transient", error_class="x", error="x", fingerprint="x"
    )
    sql("UPDATE outbox_attempt SET at = now() - interval '500 days'")
    assert retention.look_ahead().rows["attempts"] == 1
    assert retention.prune(seconds=60).rows["attempts"] == 1
    assert Attempt.objects.get().error == "told to give up"


def test_former_receipts_keys_and_figures_go_after_their_time(monkeypatch):
    monkeypatch.setattr(retention, "PORTION", 2)
    for number in range(5):
        IdempotencyRecord.objects.create(
            scope="s", key=str(number), request_hash="x", response_status=201, response_body=b"",
            expires_at=datetime.now(UTC) + timedelta(days=1 if number == 4 else -1),
        )  # fmt: skip
    former = {"consumer": "lab.note", "finished_at": THIS_MONTH, "attempts": 1, "duration_ms": 1, "outcome": "done"}
    for days in (500, 5):
        FormerReceipt.objects.create(
            message_id=uuid4(), replay_id=uuid4(), replayed_at=datetime.now(UTC) - timedelta(days=days), **former
        )
    sql("INSERT INTO outbox_rollup VALUES (now() - interval '15 days', 'x', 'done', 1), (now(), 'x', 'done', 1)")
    expected = {"idempotency keys": 4, "figures": 1, "attempts": 0, "former receipts": 1}
    assert retention.look_ahead().rows == expected
    assert retention.prune(seconds=60).rows == expected
    assert IdempotencyRecord.objects.get().key == "4"


def test_the_periodic_job_stops_when_its_time_is_over():
    old_month()
    report = retention.prune(seconds=0)
    assert report.more
    assert [old for old in report.months if not old.held] == []
    assert not retention.prune(seconds=60).more


# --- what others make of it ------------------------------------------------------------------------------------------


@pytest.mark.requirement("M38")
def test_no_invariant_takes_dropped_history_for_a_fault(over, shop):
    shop.placed()
    sql("DELETE FROM outbox_delivery")
    sql("UPDATE outbox_saga SET status = 'completed', finished_at = now()")
    before = {verdict.name for verdict in verify() if verdict.violations}
    retention.prune(seconds=60)
    assert not Message.objects.exists()
    assert {verdict.name for verdict in verify() if verdict.violations} == before


def test_a_dropped_message_is_told_of_by_its_month():
    begins = old_month()
    message_id = said_in(begins)
    retention.prune(seconds=60)
    assert what_became_of(message_id).startswith(f"Message {message_id} is of {begins:%B %Y}.")
    assert what_became_of(UUID(int=(1 << 128) - 1)).startswith("There is no message")
    (month,) = dropped_months(begins - timedelta(days=9), begins + timedelta(days=9))
    assert month.name == f"outbox_message_{begins:y%Ym%m}"
    assert dropped_months(begins - timedelta(days=9), begins - timedelta(days=1)) == []


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("M16")
def test_the_defaults_keep_everything_that_can_still_be_needed():
    assert [found for found in run_checks() if found.id == "outbox.E002"] == []


@pytest.mark.parametrize("name", ["MESSAGES_KEPT_DAYS", "RECEIPTS_KEPT_DAYS", "ATTEMPTS_KEPT_DAYS"])
def test_what_is_kept_no_longer_than_a_message_may_be_tried_and_wait_stops_the_start(settings, name):
    settings.DEAD_LETTERS_WAIT_DAYS = 89
    settings.MESSAGES_KEPT_DAYS = settings.RECEIPTS_KEPT_DAYS = settings.ATTEMPTS_KEPT_DAYS = 91
    assert check_retention() == []
    setattr(settings, name, 89)
    problems = [error.msg for error in check_retention()]
    assert any(problem.startswith(f"{name} is 89, but a message may be tried for") for problem in problems)
    assert {error.id for error in check_retention()} == {"outbox.E002"}


def test_a_message_never_outlives_its_receipts_by_the_settings(settings):
    settings.RECEIPTS_KEPT_DAYS = 399
    (error,) = check_retention()
    assert error.msg.startswith("RECEIPTS_KEPT_DAYS is less than MESSAGES_KEPT_DAYS")
