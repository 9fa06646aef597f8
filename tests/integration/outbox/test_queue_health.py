"""Queue health is read from PostgreSQL: who holds cleaning back, what is dead, how far the months reach."""

from datetime import UTC, datetime

import psycopg
import pytest
from django.test import Client

from outbox import housekeeping, partitions, queue_health
from outbox.engine.identity import listen_parameters
from outbox.partitions import MESSAGES
from tests.integration.outbox.asking import ask, single, sql
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M32")]


@pytest.fixture
def other():
    """Somebody else's session, in a transaction."""
    session = psycopg.connect(**{**listen_parameters(), "application_name": "a report"})
    yield session
    session.close()


def test_a_transaction_that_holds_a_snapshot_is_found_with_its_age_and_its_name(other):
    other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    other.execute("SELECT 1")
    holder = eventually(lambda: queue_health.look().holder)
    assert (holder.pid, holder.who) == (other.info.backend_pid, "a report")
    assert holder.state == "idle in transaction"
    sql("SELECT pg_sleep(0.02)")
    assert 0.01 < queue_health.look().holder.seconds < 60
    other.rollback()
    eventually(lambda: queue_health.look().holder is None)


def test_a_transaction_that_has_written_holds_cleaning_back_and_one_that_has_only_read_does_not(other):
    other.execute("SELECT count(*) FROM outbox_delivery")
    assert queue_health.look().holder is None
    other.execute("UPDATE outbox_rollup SET value = 1 WHERE false")
    other.execute("SELECT pg_current_xact_id()")
    assert eventually(lambda: queue_health.look().holder).pid == other.info.backend_pid


def test_what_died_in_a_hot_table_is_counted():
    def dead() -> int:
        (queue,) = [table for table in queue_health.look().tables if table.name == "outbox_delivery"]
        return queue.dead

    sql("ALTER TABLE outbox_delivery SET (autovacuum_enabled = false)")
    try:
        before = dead()
        ask(*[single(number) for number in range(50)])
        sql("DELETE FROM outbox_delivery")
        sql("SELECT pg_stat_force_next_flush()")
        eventually(lambda: dead() >= before + 50)
    finally:
        sql("ALTER TABLE outbox_delivery RESET (autovacuum_enabled)")


def test_the_hot_tables_are_those_that_are_vacuumed_by_count():
    names = {table.name for table in queue_health.look().tables}
    assert {"outbox_delivery", "outbox_worker", "outbox_breaker", "outbox_rollup", "outbox_ordering_key"} <= names
    assert "outbox_transition" not in names
    (queue,) = [table for table in queue_health.look().tables if table.name == "outbox_delivery"]
    assert queue.threshold == 2000
    assert queue.index_bytes > 0


@pytest.mark.requirement("M42")
def test_the_months_that_are_ready_are_told_up_to_the_first_gap():
    now = datetime.now(UTC)
    assert queue_health.look().months_ahead == housekeeping.MONTHS_AHEAD
    months = [month for month in partitions.months(MESSAGES) if month.begins > now]
    try:
        sql(f"DROP TABLE {months[0].name}")
        health = queue_health.look()
        assert (health.months_ahead, health.ready_until) == (0, months[0].begins)
    finally:
        housekeeping.create_partitions()
    assert queue_health.look().ready_until == months[-1].ends


def test_statistics_that_may_not_be_read_are_left_out(monkeypatch):
    monkeypatch.setattr(queue_health, "_OLDEST", "SELECT * FROM pg_statistic")
    health = queue_health.look()
    assert health.holder is None
    assert health.tables


def test_the_metrics_tell_all_of_it(other):
    other.execute("SELECT pg_current_xact_id()")
    text = Client().get("/metrics").content.decode()
    assert 'tandem_table_rows{kind="dead",table="outbox_delivery"}' in text
    assert 'tandem_table_bytes{part="indexes",table="outbox_delivery"}' in text
    assert f"tandem_partitions_ahead {float(housekeeping.MONTHS_AHEAD)}" in text
    assert 'tandem_history_bytes{kind="messages"}' in text
    (oldest,) = [line for line in text.splitlines() if line.startswith("tandem_oldest_transaction_seconds ")]
    assert float(oldest.split()[1]) > 0
