"""psycopg, with a deadline for every answer that is kept on this side of the wire.

The server's own limits do not help when it is the server that stands still: statement_timeout does not fire in a
backend that is frozen, and TCP's keepalives are answered by a kernel whose processes are. Whoever waits for such an
answer gives its connection up, and goes on with a new one; what it had not committed is rolled back.

And it rings the doorbell in one trip with COMMIT (outbox/doorbell.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import Escaping, ExecStatus, TransactionStatus
from structlog import get_logger

from outbox.conf import conf

CHECK_SECONDS = 0.1
"""How often a wait looks at the clock, and lets signals in."""

Result = TypeVar("Result")
log = get_logger("outbox.doorbell")


class Connection(psycopg.Connection[Any]):
    """Gives itself up when an answer takes too long."""

    answer_seconds: float | None = None
    """The limit for one answer; None: wait for ever."""
    _rings: tuple[bytes, ...] = ()
    """The statements that ring, to be sent along with COMMIT."""

    def set_autocommit(self, value: bool) -> None:
        """Let transactions begin by themselves, or not. Between transactions nothing has to be asked or awaited."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._autocommit = bool(value)
        else:
            super().set_autocommit(value)

    def ring_at_commit(self, channel: str, payload: str) -> None:
        """Have `payload` told to those who listen to `channel` right after the open transaction has committed."""
        escape = Escaping(self.pgconn)
        words = escape.escape_identifier(channel.encode()), escape.escape_literal(payload.encode())
        self._rings += (b"NOTIFY %s, %s" % words,)

    def commit(self) -> None:
        """Commit, and ring in the same message.

        The server runs what follows COMMIT in a transaction of its own, which waits for no disk. When that fails,
        what was committed stands, and polling finds it.
        """
        rings, self._rings = self._rings, ()
        state = self.pgconn.transaction_status
        if not rings or state not in (TransactionStatus.INTRANS, TransactionStatus.IDLE):
            super().commit()
            return
        begun = state == TransactionStatus.INTRANS  # a unit of work without statements never began
        with self.lock:
            self.pgconn.send_query(b"; ".join((b"COMMIT", *rings) if begun else rings))
            answers = self.wait(generators.execute(self.pgconn))
        if begun and answers[0].status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(answers[0], encoding=self.info.encoding)
        for answer in answers:
            if answer.status == ExecStatus.FATAL_ERROR:
                log.warning("doorbell_lost", error=answer.get_error_message(self.info.encoding))

    def rollback(self) -> None:
        """Roll back; nobody is rung."""
        self._rings = ()
        super().rollback()

    def wait(self, gen: PQGen[Result], interval: float = CHECK_SECONDS, timeout: float | None = None) -> Result:
        """Wait for the server. Raises OperationalError, with the connection closed, when the limit is over."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            raise psycopg.OperationalError(
                f"No answer within {self.answer_seconds:g} s; the connection is given up"
            ) from error


def connect(*arguments: Any, **parameters: Any) -> Connection:
    """Connect as psycopg does, with the limit of the settings."""
    made = Connection.connect(*arguments, **parameters)
    made.answer_seconds = conf.DATABASE_ANSWER_SECONDS or None
    return made


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Wait at most `seconds` for each answer to this thread's connection of Django."""
    connection.ensure_connection()
    own: Connection = connection.connection
    former, own.answer_seconds = own.answer_seconds, seconds
    try:
        yield
    finally:
        own.answer_seconds = former


def __getattr__(name: str) -> Any:
    """Whatever else Django asks its driver for is psycopg's."""
    return getattr(psycopg, name)
