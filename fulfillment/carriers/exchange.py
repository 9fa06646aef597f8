"""One HTTP exchange with a bound on everything: connecting, the whole exchange, and the size of the answer.

A read timeout alone lets a peer that drips byte after byte hold a worker for ever. So exchanges run on an event loop
of their own thread, where one deadline covers the whole exchange and ends it wherever it is; callers wait in theirs.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_ANSWER_BYTES = 65_536


class AnswerTooLarge(Exception):
    """The peer answered more than MAX_ANSWER_BYTES."""


class DeadlinePassed(Exception):
    """The exchange was not over within TOTAL_SECONDS."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchanger:
    """Keeps connections to one base URL and makes bounded exchanges over them; safe to share between threads.

    Make it after forking: the loop's thread does not follow into a child.
    """

    def __init__(self, base_url: str, *, headers: Mapping[str, str], total_seconds: float = TOTAL_SECONDS) -> None:
        self._total_seconds = total_seconds
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=dict(headers),
            timeout=httpx.Timeout(total_seconds, connect=min(CONNECT_SECONDS, total_seconds)),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=15),
            follow_redirects=False,
            trust_env=False,
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="carrier-http", daemon=True)
        self._thread.start()

    def exchange(self, method: str, path: str, **request: Any) -> Answer:
        """Make one request and return the answer, whatever its status.

        Raises httpx.TransportError, DeadlinePassed or AnswerTooLarge.
        """
        return asyncio.run_coroutine_threadsafe(self._bounded(method, path, request), self._loop).result()

    def close(self) -> None:
        """Close all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _bounded(self, method: str, path: str, request: dict[str, Any]) -> Answer:
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._exchange(method, path, request)
        except TimeoutError as error:
            raise DeadlinePassed(f"no whole answer within {self._total_seconds:g} s") from error

    async def _exchange(self, method: str, path: str, request: dict[str, Any]) -> Answer:
        async with self._client.stream(method, path, **request) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLarge(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            return Answer(response.status_code, response.headers, bytes(body))
