"""Keeps the leases of a worker whose main thread is busy with something long.

Calls run in threads; the main thread extends their leases whenever it comes round (outbox/engine/shift.py). While a
handler, a prepare or a record takes longer than a lease it does not come round, and others would take over calls that
are under way or wait to be recorded. Then this thread extends them, on a connection that it opens for that time. It
dies with the process, and gives up on a main thread that hangs: then the leases run out, and others call again. It
needs no trust: what is recorded is recorded by the one who holds the lease, whoever extended it.
"""

import threading
import time
from uuid import UUID

import psycopg
from structlog import get_logger

from outbox.conf import conf
from outbox.engine import queue
from outbox.engine.identity import listen_parameters
from outbox.postgresql import driver

HUNG_SECONDS = 60.0
"""A main thread that has not come round for this long hangs: no shift may take longer, says outbox/conf.py."""
BEATS_PER_LEASE = 5
"""With a lease of 30 s it beats after 6 s: one beat later than the main thread, which leaves nothing to do for it."""

log = get_logger("outbox.heart")


class Heart:
    """The thread that extends a worker's leases in place of its main thread. Begins with the first call."""

    def __init__(self, owner: UUID) -> None:
        self._owner = owner
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._came_round_at = self._extended_at = time.monotonic()
        self._connection: driver.Connection | None = None

    def start(self) -> None:
        """Watch over the leases from now on; called when some were taken."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
            self._thread.start()

    def came_round(self) -> None:
        """Note that the main thread does not hang."""
        self._came_round_at = time.monotonic()

    def extended(self) -> None:
        """Note that the main thread has extended the leases itself."""
        self._extended_at = self._came_round_at = time.monotonic()

    def stop(self) -> None:
        """Extend nothing any more; does not wait for the thread, which may be waiting for the database."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(conf.LEASE_SECONDS / BEATS_PER_LEASE / 2):
            try:
                self._look(time.monotonic())
            except (psycopg.Error, OSError) as error:
                log.warning("leases_not_extended", error=f"{type(error).__name__}: {error}"[:300])
                self._disconnect()
        self._disconnect()

    def _look(self, now: float) -> None:
        """Extend the leases when the main thread should have and did not; but not in place of one that hangs."""
        if now - self._extended_at < conf.LEASE_SECONDS / BEATS_PER_LEASE or now - self._came_round_at > HUNG_SECONDS:
            self._disconnect()
            return
        if self._connection is None:
            self._connection = driver.connect(**listen_parameters(), autocommit=True)
        queue.extend_leases_on(self._connection, self._owner)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
