"""The queue's health in words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from config.notices import notices_of
from config.pulse_health import lines_of
from outbox.queue_health import Holder, QueueHealth, Slot, Table
from outbox.stats import WorkerView

pytestmark = pytest.mark.requirement("M33")

QUEUE = Table("outbox_delivery", 40, 12, 120.0, 1_048_576, 3_145_728, 2_000)
WELL = QueueHealth(
    tables=[QUEUE],
    holder=None,
    slots=[],
    hidden=0,
    ready_until=datetime(2027, 2, 1, tzinfo=UTC),
    months_ahead=2,
    messages_bytes=1_048_576,
    receipts_bytes=1_048_576,
)
SOMEBODY = WorkerView("vm", 1, datetime(2026, 1, 1, tzinfo=UTC), 0.0, "", 0)


def words(health: QueueHealth) -> list[tuple[str, str, str]]:
    return [(line.name, line.tone, line.note) for line in lines_of(health)]


def titles(health: QueueHealth) -> list[str]:
    return [notice.title for notice in notices_of([], [SOMEBODY], [], dead=0, stuck=0, health=health)]


def test_a_healthy_queue_says_so():
    assert words(WELL) == [
        ("Cleaning", "done", "Nothing holds back cleaning."),
        ("Live queue", "done", "12 dead rows; cleaned 2 min ago; indexes take 3.0\xa0MB."),
        ("History", "done", "2.0\xa0MB. Partitions are ready until 1 February 2027."),
    ]
    assert titles(WELL) == []


@pytest.mark.parametrize(
    ("seconds", "tone", "note"),
    [
        (59.0, "done", "Nothing holds back cleaning."),
        (150.0, "progress", "A transaction open for 2 min holds back cleaning (pid 4711, psql, active)."),
        (
            720.0,
            "attention",
            "A transaction open for 12 min holds back cleaning (pid 4711, psql, active).",
        ),
    ],
)
def test_an_open_transaction_is_told_after_a_minute(seconds, tone, note):
    health = replace(WELL, holder=Holder(4711, "psql", "active", seconds))
    assert words(health)[0] == ("Cleaning", tone, note)


@pytest.mark.requirement("M41")
def test_after_five_minutes_staff_are_alerted():
    at_most = replace(WELL, holder=Holder(4711, "psql", "active", 300.0))
    assert titles(at_most) == []
    over = replace(WELL, holder=Holder(4711, "psql", "active", 301.0))
    assert titles(over) == ["A transaction has been open for 5 min."]


def test_a_prepared_transaction_and_a_slot_are_named():
    prepared = replace(WELL, holder=Holder(0, "transfer-7", "prepared transaction", 90.0))
    assert "(transfer-7, a prepared transaction)" in words(prepared)[0][2]
    slot = replace(WELL, slots=[Slot("standby_2", 123_456)])
    assert words(slot)[0] == ("Cleaning", "waiting", "The replication slot standby_2 holds back 123,456 transactions.")


def test_a_table_that_is_not_cleaned_is_named():
    behind = replace(QUEUE, dead=10_001, autovacuum_seconds=None)
    name, tone, note = words(replace(WELL, tables=[behind]))[1]
    assert (name, tone, note) == ("outbox_delivery", "attention", "10,001 dead rows; not cleaned yet.")
    assert len(words(replace(WELL, tables=[replace(QUEUE, dead=10_000)]))) == 3


def test_a_month_that_is_missing_is_told():
    late = replace(WELL, months_ahead=0, ready_until=datetime(2026, 12, 1, tzinfo=UTC))
    assert words(late)[-1][1:] == ("attention", "2.0\xa0MB. No partition is ready for next month.")
    assert titles(late) == ["No partition is ready for next month."]


def test_what_may_not_be_seen_is_said_to_be_hidden():
    assert words(replace(WELL, hidden=3))[-1][0] == "Hidden sessions"
    assert "Its statistics cannot be read." in [note for _, _, note in words(replace(WELL, tables=[]))]
