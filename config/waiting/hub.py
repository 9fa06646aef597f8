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
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 20_000
"""Rings that are remembered, for those whose first question was under way when they came."""

log = get_logger("tandem.waiting")


class Hub:
    """Hands the doorbell's rings to the waiters of this process."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None
        self._hears_since: float | None = None
        """When listening began, by the event loop's clock; None while it does not."""
        self._heard: dict[str, float] = {}

    @property
    def count(self) -> int:
        """How many are waiting."""
        return sum(len(waiters) for waiters in self._waiters.values())

    @contextmanager
    def waiter(self, order_id: str, since: float) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever the order may have moved, also when it may have `since` then."""
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        bell = asyncio.Event()
        if self._may_have_moved(order_id, since):
            bell.set()
        self._waiters[order_id].add(bell)
        try:
            yield bell
        finally:
            self._waiters[order_id].discard(bell)
            if not self._waiters[order_id]:
                del self._waiters[order_id]

    def wake_all(self) -> None:
        """Have everybody look."""
        for bells in self._waiters.values():
            for bell in bells:
                bell.set()

    def ring(self, order_id: str) -> None:
        """Wake those who wait for the order, and remember it for those who are about to."""
        now = asyncio.get_running_loop().time()
        self._heard.pop(order_id, None)
        self._heard[order_id] = now
        while self._heard and (len(self._heard) > MOST_REMEMBERED or self._oldest() < now - REMEMBERED_SECONDS):
            del self._heard[next(iter(self._heard))]
        for bell in self._waiters.get(order_id, ()):
            bell.set()

    def _oldest(self) -> float:
        return next(iter(self._heard.values()))

    def _may_have_moved(self, order_id: str, since: float) -> bool:
        now = asyncio.get_running_loop().time()
        heard_all = self._hears_since is not None and max(self._hears_since, now - REMEMBERED_SECONDS) < since
        if len(self._heard) >= MOST_REMEMBERED:
            heard_all = heard_all and self._oldest() < since
        return not heard_all or self._heard.get(order_id, -1.0) >= since

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (psycopg.Error, OSError) as error:
                log.warning("doorbell_unheard", error=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)
            finally:
                self._hears_since = None

    async def _hear(self) -> None:
        parameters = await asyncio.to_thread(listen_parameters)
        async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as connection:
            await connection.execute(f"LISTEN {PROGRESS_CHANNEL}")
            self._hears_since = asyncio.get_running_loop().time()
            self.wake_all()  # rings may have been missed before
            async for ring in connection.notifies():
                self.ring(ring.payload)
