"""A small HTTP client for many connections in one process, so that the load costs little beside what it loads."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds after which an answer that has not come counts as none."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass(frozen=True)
class Question:
    """A request: made anew for each use, since keys differ."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def wire(self) -> bytes:
        """The request as it goes over the wire."""
        headers = {"Host": "127.0.0.1", **self.headers}
        if self.body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


class Connection:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, question: Question) -> Answer:
        """Send a request and return its whole answer. Raises OSError, TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            head, reader = await self.begin(question)
            body = await _body(head, reader)
        if head.headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return head._replace(body=body)

    async def begin(self, question: Question) -> tuple[Answer, asyncio.StreamReader]:
        """Send a request and return the head of its answer; what follows is left to read."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(question.wire)
        return _head(await self._reader.readuntil(b"\r\n\r\n")), self._reader

    def close(self) -> None:
        """Leave."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _head(text: bytes) -> Answer:
    first, *lines = text.split(b"\r\n")
    pairs = (line.split(b":", 1) for line in lines if line)
    return Answer(int(first.split(b" ", 2)[1]), {name.lower(): value.strip() for name, value in pairs}, b"")


async def _body(head: Answer, reader: asyncio.StreamReader) -> bytes:
    if head.headers.get(b"transfer-encoding") == b"chunked":
        return await reader.readuntil(b"\r\n0\r\n\r\n")  # as it came: nobody looks into it
    length = int(head.headers.get(b"content-length", b"0"))
    return await reader.readexactly(length) if length else b""


Ask = Callable[[], Question]


async def busily(port: int, asks: Sequence[Ask], *, expect: int, seconds: float) -> tuple[float, list[float]]:
    """Ask over one connection for each of `asks`, without a pause; return the rate and each answer's seconds."""
    latencies: list[float] = []
    end = time.monotonic() + seconds

    async def caller(ask: Ask) -> None:
        connection = Connection(port)
        while time.monotonic() < end:
            latencies.append(await timed(connection, ask(), expect))
        connection.close()

    return await _measured(latencies, [caller(ask) for ask in asks])


async def paced(
    port: int, asks: Sequence[Ask], *, expect: int, seconds: float, rate: float
) -> tuple[float, list[float]]:
    """Ask `rate` times a second in all, at times set beforehand; a late answer counts from when it was due."""
    latencies: list[float] = []
    began = time.monotonic()
    dues = iter([number / rate for number in range(int(rate * seconds))])

    async def caller(ask: Ask) -> None:
        connection = Connection(port)
        for due in dues:
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            late = max(0.0, time.monotonic() - began - due)
            latencies.append(late + await timed(connection, ask(), expect))
        connection.close()

    return await _measured(latencies, [caller(ask) for ask in asks])


async def timed(connection: Connection, question: Question, expect: int) -> float:
    """Return how long the answer took. Raises AssertionError when it is another than expected."""
    started = time.perf_counter()
    answer = await connection.ask(question)
    assert answer.status == expect, (answer.status, answer.body[:500])
    return time.perf_counter() - started


async def _measured(latencies: list[float], callers: list[Awaitable[None]]) -> tuple[float, list[float]]:
    started = time.monotonic()
    await asyncio.gather(*callers)
    return len(latencies) / (time.monotonic() - started), sorted(latencies)
