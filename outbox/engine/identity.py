"""A worker process: its session lock (its life), its doorbell, and the note of what it has in hand.

All three ride on one direct connection of their own, since session locks and LISTEN do not survive a transaction
pooler, and since the note must stay when the transaction of the work is rolled back by a crash.
"""

import os
import random
import select
import socket
from typing import Any
from uuid import UUID

import psutil
import psycopg
from django.db import connection
from psycopg import Notify, generators
from psycopg.pq import ExecStatus
from structlog import get_logger
from uuid_utils.compat import uuid7

from outbox import doorbell
from outbox.conf import SERVER_NETWORK_LIMITS, conf
from outbox.consumers import all_consumers
from outbox.engine.parking import readable_contracts
from outbox.postgresql import driver

LOCK_CLASS = 0x0B0E
"""First half of the key of every worker's session lock."""

_REGISTER = """
INSERT INTO outbox_worker (id, host, pid, lock, release, consumers, contracts) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_NOTE = b"UPDATE outbox_worker SET consumer = $1, deliveries = $2::jsonb, seen_at = now() WHERE id = $3::uuid"
_SEEN = "UPDATE outbox_worker SET seen_at = now() WHERE id = %s"

log = get_logger("outbox.worker")


def listen_parameters() -> dict[str, Any]:
    """Return how to connect directly, past any pooler."""
    if conf.DATABASE_LISTEN_URL:
        return {"conninfo": conf.DATABASE_LISTEN_URL, "options": SERVER_NETWORK_LIMITS, **conf.NETWORK_LIMITS}
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    return dict(parameters)


def process_lives(identity: UUID, host: str, pid: int) -> bool:
    """Tell whether the process that signed in as `identity` is known to live; of other hosts nothing is known.

    The identity carries the moment of its making by this host's clock: a process that began later is another one
    that was given the same number.
    """
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        began = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and began * 1000 <= identity.int >> 80
    except psutil.Error:
        return False


class Identity:
    """One worker process, from its first shift to its end."""

    def __init__(self) -> None:
        self.id: UUID = uuid7()
        self.pid = os.getpid()
        self.rung: set[str] = set()
        """Consumers that the doorbell named since the last look."""
        self._noted: list[int] = []
        self._answer_due = False
        """Whether the answer to the last note has not been taken in yet."""
        self._connection = driver.connect(**listen_parameters(), autocommit=True)
        self._connection.add_notify_handler(self._heard)
        self._sign_in()

    def _sign_in(self) -> None:
        lock = random.getrandbits(31)
        execute = self._connection.execute
        # The note must outlive this process, not the server: the server's crash ends every worker anyway.
        execute("SET synchronous_commit = off")
        execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, lock))
        knows = ([entry.name for entry in all_consumers()], readable_contracts())
        execute(_REGISTER, (self.id, socket.gethostname(), self.pid, lock, conf.RELEASE, *knows))
        execute(f"LISTEN {doorbell.WORK}")
        self._connection.pgconn.prepare(b"note", _NOTE)

    def _heard(self, notify: Notify) -> None:
        self.rung.add(notify.payload)

    @property
    def alive(self) -> bool:
        """Whether this process still is the one that signed in, and its connection stands."""
        return self.pid == os.getpid() and not self._connection.closed and not self._connection.broken

    def note(self, consumer: str, delivery_ids: list[int]) -> None:
        """Write down what is in hand now, so that whoever finds this worker dead knows what killed it.

        It is sent before the work begins, and answered while the work runs: what was sent reaches the server though
        this process dies, and the session ends, with its lock, only after that.
        """
        self._take_answer()
        self._noted = delivery_ids
        values = [consumer.encode(), str(delivery_ids).encode(), str(self.id).encode()]
        self._connection.pgconn.send_query_prepared(b"note", values)
        self._answer_due = True

    def _take_answer(self) -> None:
        """Wait for the answer to the last note. Raises psycopg.Error when it could not be written."""
        if not self._answer_due:
            return
        self._answer_due = False
        for answer in self._connection.wait(generators.fetch_many(self._connection.pgconn)):
            if answer.status != ExecStatus.COMMAND_OK:
                raise psycopg.OperationalError(f"The note could not be written: {answer.error_message.decode()}")

    def clear_note(self) -> None:
        """Write down that nothing is in hand, when something was."""
        if self._noted:
            self.note("", [])

    def seen(self) -> None:
        """Show that this worker lives."""
        self._take_answer()
        self._connection.execute(_SEEN, (self.id,))

    def wait(self, seconds: float, bell: int) -> None:
        """Sleep until the doorbell rings, `bell` (an eventfd) is written to, or `seconds` have passed."""
        self._take_answer()
        self.hear()
        if self.rung:
            return
        readable, _, _ = select.select([self._connection.fileno(), bell], [], [], max(0.0, seconds))
        if bell in readable:
            os.eventfd_read(bell)
        self.hear()

    def hear(self) -> None:
        """Take in the rings that have arrived, without waiting."""
        pgconn = self._connection.pgconn
        pgconn.consume_input()
        while ring := pgconn.notifies():
            self.rung.add(ring.extra.decode())

    def close(self) -> None:
        """Drop the connection, and with it the session lock: others see this worker as dead."""
        self._connection.close()

    def sign_out(self) -> None:
        """Leave in an orderly way: nothing in hand, the row gone."""
        if self.alive:
            self._take_answer()
            self._connection.execute("DELETE FROM outbox_worker WHERE id = %s", (self.id,))
            self._connection.close()
