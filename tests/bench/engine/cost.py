"""What one drained message costs the database, counted in the worker's own two sessions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from django.db import connection

from outbox.consumers import Consumer, find
from outbox.engine.identity import Identity
from outbox.engine.transactional import run_batch
from tests.bench.measuring import Samples

_WAL = "SELECT sum(wal.wal_bytes) FROM unnest(%s::int[]) AS pid, pg_stat_get_backend_wal(pid) AS wal"


@dataclass
class Cost:
    """Per message."""

    statements: float
    """BEGIN and COMMIT included."""
    commits: float
    wal_bytes: float


class Meter:
    """Counts what a worker sends over both of its connections."""

    def __init__(self, me: Identity) -> None:
        self._sessions = [me._connection.info.backend_pid, connection.connection.info.backend_pid]
        self._me = me
        self.statements = self.notes = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count while the block runs."""

        def count(execute, sql, params, many, context):
            self.statements += 1
            return execute(sql, params, many, context)

        note = self._me.note

        def noted(*arguments):
            self.notes += 1
            note(*arguments)

        with connection.execute_wrapper(count), mock.patch.object(self._me, "note", noted):
            yield

    def wal_bytes(self) -> int:
        self._me.seen()  # takes the answer to the last note in
        self._me._connection.execute("SELECT pg_stat_force_next_flush()")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(_WAL, [self._sessions])
            return int(cursor.fetchone()[0])


def cost_of_draining(consumer: Consumer, messages: int, me: Identity) -> Cost:
    """Drain the `messages` that `consumer` has, in this process, and return what one cost."""
    meter = Meter(me)
    connection.ensure_connection()
    before, transactions, done = meter.wal_bytes(), 0, 0
    with meter.reading():
        while worked := run_batch(consumer, me):
            transactions, done = transactions + 1, done + worked
    assert done == messages
    return Cost(
        (meter.statements + meter.notes + 2 * transactions) / messages,
        (transactions + meter.notes) / messages,
        (meter.wal_bytes() - before) / messages,
    )


def cost_of_noop(messages: int) -> Samples:
    """Drain messages with an empty handler; the other workers must leave them alone."""
    entry, me = find("bench.noop"), Identity()
    assert isinstance(entry, Consumer)
    cost = cost_of_draining(entry, messages, me)
    me.sign_out()
    return {"cost.statements": cost.statements, "cost.commits": cost.commits, "cost.wal": cost.wal_bytes}
