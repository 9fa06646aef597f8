"""Five hundred customers who wait for an outcome that does not come, and a thousand streams without news."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import connection

from tests.bench.door.http import Connection, Question
from tests.bench.door.servers import Servers
from tests.bench.measuring import wait_until

WAITERS = 500
WAIT_SECONDS = 20
STREAMS = 1_000
AT_A_TIME = 20
"""Streams that are opened at the same moment: opening them is not what is measured."""


class Crowd:
    """Those who wait, on an event loop of their own."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.waiting = 0
        """Waiters that have begun."""
        self.streams: list[Connection] = []
        self.refused = 0
        """Waits that were answered without having been granted, and streams that were not opened."""

    async def gather(self) -> None:
        """Let all come and stay until cancelled."""
        gate = asyncio.Semaphore(AT_A_TIME)
        orders = [await self._placed(key) for key in self._servers.keys]
        streams = [self._stream(*orders[number % len(orders)], gate) for number in range(STREAMS)]
        await asyncio.gather(*streams, *(self._waiter(number) for number in range(WAITERS)))

    async def _placed(self, key: str) -> tuple[str, str]:
        order = self._servers.order()
        headers = {**order.headers, "Authorization": f"Bearer {key}"}
        placed = await Connection(self._servers.ours).ask(Question(order.method, order.path, headers, order.body))
        return key, json.loads(placed.body)["id"]

    async def _stream(self, key: str, order: str, gate: asyncio.Semaphore) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        connection = Connection(self._servers.ours)
        async with gate:
            head, reader = await connection.begin(Question("GET", f"/api/v1/orders/{order}/progress", headers))
        self.refused += head.status != 200
        self.streams.append(connection)
        while await reader.read(65_536):
            continue

    async def _waiter(self, number: int) -> None:
        """Come in turn, so that the waits end in turn as well, and wait again and again."""
        await asyncio.sleep(number * WAIT_SECONDS / WAITERS)
        connection = Connection(self._servers.ours)
        self.waiting += 1
        while True:
            order = self._servers.order()
            headers = {**order.headers, "Prefer": f"wait={WAIT_SECONDS}"}
            answer = await connection.ask(Question(order.method, order.path, headers, order.body))
            self.refused += answer.status != 201 or b"preference-applied" not in answer.headers


@contextmanager
def crowd(servers: Servers) -> Iterator[Crowd]:
    """Have them all there; raises AssertionError when one was refused."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # else statements are planned for the empty tables that the run began with
    gathered, loop = Crowd(servers), asyncio.new_event_loop()
    everyone = loop.create_task(gathered.gather())

    def host() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(everyone)
        loop.close()

    thread = threading.Thread(target=host, daemon=True)
    thread.start()
    try:
        wait_until(lambda: (gathered.waiting, len(gathered.streams)) == (WAITERS, STREAMS), what="the crowd")
        yield gathered
    finally:
        loop.call_soon_threadsafe(everyone.cancel)
        thread.join(30)
    assert gathered.refused == 0, gathered.refused
