"""The asynchronous layer: which requests wait, for what, and for how long."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from config.waiting.hub import Hub
from config.waiting.inner import Answer, Application, Header, Receive, Scope, Send, ask, ask_again, header, reply
from config.waiting.intake import MOST_HEADER_BYTES, BodyTooSlow, CallerLeft, header_bytes, plain_headers, taken_in
from config.waiting.progress import has_first_outcome, is_final, order_uuid
from config.waiting.refusals import refuse
from config.waiting.streams import Streams
from config.waiting.turns import InTurn

LONGEST_WAIT_SECONDS = 30
MOST_WAITS = 500
"""Waits of one process; one more is answered at once, as RFC 7240 allows."""
LOST_RING_SECONDS = 10.0
"""A wait looks again after this long even without a ring: a lost one delays, nothing else."""

_PLACING = re.compile(r"^/api/v1/orders/?$")
_PROGRESS = re.compile(r"^/api/v1/orders/ord_(?P<id>[0-9a-f]{32})/progress/?$")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", re.IGNORECASE)

Settled = Callable[[Answer], bool]


def wait_seconds(scope: Scope) -> int:
    """Return how long the caller prefers to wait, bounded; 0 when it does not."""
    found = _WAIT.search(header(scope, b"prefer"))
    return min(int(found.group(1)), LONGEST_WAIT_SECONDS) if found else 0


class Waiting:
    """Wraps the synchronous site; everything that does not wait passes straight through."""

    def __init__(self, site: Application, threads: int = 8) -> None:
        self._site = InTurn(site, threads)
        self._hub = Hub()
        self._streams = Streams(self._site, self._hub)
        self._waits = 0
        self._leaving = False

    def leave(self) -> None:
        """Answer all who wait and end all streams: this process is about to end, and others are there."""
        self._leaving = self._streams.leaving = True
        self._hub.wake_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = plain_headers(scope)
        if header_bytes(scope) > MOST_HEADER_BYTES:
            detail = f"The address and headers may have up to {MOST_HEADER_BYTES} bytes."
            await refuse(scope, send, "headers_too_large", detail, (b"connection", b"close"))
            return
        try:
            receive = await taken_in(receive)
        except CallerLeft:
            return
        except BodyTooSlow:
            await refuse(scope, send, "request_timeout", "", (b"connection", b"close"))
            return
        progress = _PROGRESS.match(scope["path"]) if scope["method"] == "GET" else None
        if progress and "text/event-stream" in header(scope, b"accept"):
            await self._streams.serve(scope, receive, send, progress.group("id"))
        elif (progress or self._places(scope)) and wait_seconds(scope) and self._waits < MOST_WAITS:
            self._waits += 1
            try:
                await self._wait(scope, receive, send)
            finally:
                self._waits -= 1
        else:
            await self._site(scope, receive, send)

    @staticmethod
    def _places(scope: Scope) -> bool:
        return scope["method"] == "POST" and bool(_PLACING.match(scope["path"]))

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with how it is when it has moved, or when the time is over."""
        seconds, since = wait_seconds(scope), asyncio.get_running_loop().time()
        first = await ask(self._site, scope, receive)
        target = self._target(scope, first)
        if target is None:
            await reply(send, first)
            return
        path, order_id, settled = target
        with self._hub.waiter(order_id, since) as bell:
            latest = await self._until(scope, path, bell, settled, seconds)
        applied = (b"preference-applied", f"wait={seconds}".encode())
        await reply(send, waited(first, latest, applied))

    def _target(self, scope: Scope, first: Answer) -> tuple[str, str, Settled] | None:
        """Return what to look at until it is settled; None when there is nothing to wait for."""
        if scope["method"] == "POST":
            location = first.header(b"location")
            if first.status != 201 or location is None or first.header(b"idempotent-replayed"):
                return None
            path = urlsplit(location.decode()).path
            return path, order_uuid(path.rstrip("/").rsplit("/", 1)[-1]), has_first_outcome
        if first.status not in (200, 304) or (first.status == 200 and is_final(first)):
            return None
        found = _PROGRESS.match(scope["path"])
        assert found is not None
        return scope["path"], order_uuid(found.group("id")), lambda now: now.header(b"etag") != first.header(b"etag")

    async def _until(self, scope: Scope, path: str, bell: asyncio.Event, settled: Settled, seconds: float) -> Answer:
        """Look whenever the bell rings; return what is seen when it is settled, or when the time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            left = 0.0 if self._leaving else end - loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOST_RING_SECONDS)):
                    await bell.wait()
            bell.clear()
            latest = await ask_again(self._site, scope, path)
            if latest.status != 200 or settled(latest) or self._leaving or loop.time() >= end:
                return latest


def waited(first: Answer, latest: Answer, applied: Header) -> Answer:
    """Return the answer to a request that has waited: its first one, in which what was waited for is up to date.

    A 304 stays one until there is something new to send.
    """
    if latest.status != 200:
        return Answer(first.status, [*first.headers, applied], first.body)
    if first.status == 304:
        news = first if latest.header(b"etag") == first.header(b"etag") else latest
        return Answer(news.status, [*news.headers, applied], news.body)
    etag = [(b"etag", value)] if (value := latest.header(b"etag")) else []
    return Answer(first.status, [*first.without(b"etag"), *etag, applied], latest.body)
