"""BEGIN rides with the first statement of a transaction, and nothing else is different."""

import pytest
from django.db import DataError, connection, transaction
from psycopg.pq import TransactionStatus

from outbox.postgresql import driver
from tests.integration.outbox.asking import sql

pytestmark = pytest.mark.django_db(transaction=True)
DIVIDE = "SELECT 12 / %s::int"


@pytest.fixture
def commands(transactional_db, monkeypatch):
    """The commands that psycopg sends by itself, from when DIVIDE is a prepared statement."""
    for _ in range(10):
        sql(DIVIDE, 1)
    sent: list[bytes] = []
    execute = driver.Connection._exec_command

    def noted(self, command, *arguments):
        sent.append(command)
        return execute(self, command, *arguments)

    monkeypatch.setattr(driver.Connection, "_exec_command", noted)
    return sent


def state() -> TransactionStatus:
    return connection.connection.info.transaction_status


def test_a_prepared_statement_begins_its_transaction_in_the_same_trip(commands):
    with transaction.atomic():
        assert sql(DIVIDE, 4) == [(3,)]
        assert state() == TransactionStatus.INTRANS
        assert sql(DIVIDE, 6) == [(2,)]
        assert commands == []
    assert commands == [b"COMMIT"]
    assert state() == TransactionStatus.IDLE


def test_another_statement_is_sent_after_begin(commands):
    with transaction.atomic():
        sql("SELECT 'not prepared'")
        assert commands == [b"BEGIN"]


def test_outside_a_transaction_nothing_begins(commands):
    assert sql(DIVIDE, 4) == [(3,)]
    assert commands == []
    assert state() == TransactionStatus.IDLE


def test_an_error_of_the_first_statement_is_told_and_the_connection_goes_on(commands):
    with pytest.raises(DataError, match="division by zero"), transaction.atomic():
        sql(DIVIDE, 0)
    assert commands[0] == b"ROLLBACK"
    with transaction.atomic():
        assert sql(DIVIDE, 4) == [(3,)]
    assert state() == TransactionStatus.IDLE


def test_what_it_did_is_rolled_back(commands):
    sql("CREATE TABLE lab_written (n int)")
    write = "INSERT INTO lab_written SELECT 1 / %s::int"
    for _ in range(5):
        sql(write, 1)
    commands.clear()
    with transaction.atomic():
        sql(write, 1)
        transaction.set_rollback(True)
    assert commands[0] == b"ROLLBACK", "BEGIN went with the statement"
    assert sql("SELECT count(*) FROM lab_written") == [(5,)]
    sql("DROP TABLE lab_written")
