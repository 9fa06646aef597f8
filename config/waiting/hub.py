"""One ear per web process: hears which orders moved, and wakes those who wait for them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from structlog import get_logger

from orders.process import PROGRESS_CHANNEL
from outbox.engine.identity import listen_parameters

RECONNECT_SECONDS = 1.0

log = get_logger("tandem.waiting")


class Hub:
    """Hands the doorbell's rings to the waiters of this process."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many are waiting."""
        return sum(len(waiters) for waiters in self._waiters.values())

    @contextmanager
    def waiter(self, order_id: str) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever the order may have moved."""
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        bell = asyncio.Event()
        self._waiters[order_id].add(bell)
        try:
            yield bell
        finally:
            self._waiters[order_id].discard(bell)
            if not self._waiters[order_id]:
                del self._waiters[order_id]

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (psycopg.Error, OSError) as error:
                log.warning("doorbell_unheard", error=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self) -> None:
        parameters = await asyncio.to_thread(listen_parameters)
        async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
            await connection.execute(f"LISTEN {PROGRESS_CHANNEL}")
            self._wake_all()  # rings may have been missed before
            async for ring in connection.notifies():
                for bell in self._waiters.get(ring.payload, ()):
                    bell.set()

    def _wake_all(self) -> None:
        for bells in self._waiters.values():
            for bell in bells:
                bell.set()
