"""The asynchronous layer: which requests wait, for what, and for how long."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from config.waiting.hub import Hub
from config.waiting.inner import Answer, Application, Header, Receive, Scope, Send, ask, ask_again, header, reply
from config.waiting.intake import MOST_HEADER_BYTES, BodyTooSlow, CallerLeft, header_bytes, plain_headers, taken_in
from config.waiting.refusals import refusal, refuse
from config.waiting.turns import InTurn, caller_in

LONGEST_WAIT_SECONDS = 30
MOST_WAITERS = 500
"""Waits and streams per process; beyond it a wait is answered at once, as RFC 7240 allows."""
MOST_STREAMS_PER_CALLER = 20
LOST_RING_SECONDS = 10.0
"""A wait looks again after this long even without a ring: a lost one delays, nothing else."""
HEARTBEAT_SECONDS = 15.0
FINAL_STATES = ("done", "compensated")

_PLACING = re.compile(r"^/api/v1/orders/?$")
_PROGRESS = re.compile(r"^/api/v1/orders/ord_(?P<id>[0-9a-f]{32})/progress/?$")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", re.IGNORECASE)

Settled = Callable[[Answer], bool]


def wait_seconds(scope: Scope) -> int:
    """Return how long the caller prefers to wait, bounded; 0 when it does not."""
    found = _WAIT.search(header(scope, b"prefer"))
    return min(int(found.group(1)), LONGEST_WAIT_SECONDS) if found else 0


def order_uuid(public_id: str) -> str:
    """Return the id that the doorbell uses for `ord_…`."""
    digits = public_id.removeprefix("ord_")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Waiting:
    """Wraps the synchronous site; everything that does not wait passes straight through."""

    def __init__(self, site: Application, threads: int = 8) -> None:
        self._site = InTurn(site, threads)
        self._hub = Hub()
        self._streams: Counter[str] = Counter()

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
            await self._stream(scope, receive, send, progress.group("id"))
        elif (progress or self._places(scope)) and wait_seconds(scope) and self._hub.count < MOST_WAITERS:
            await self._wait(scope, receive, send)
        else:
            await self._site(scope, receive, send)

    @staticmethod
    def _places(scope: Scope) -> bool:
        return scope["method"] == "POST" and bool(_PLACING.match(scope["path"]))

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with how it is when it has moved, or when the time is over."""
        seconds = wait_seconds(scope)
        first = await ask(self._site, scope, receive)
        target = self._target(scope, first)
        if target is None:
            await reply(send, first)
            return
        path, order_id, settled = target
        latest = await self._until(scope, path, order_id, settled, seconds)
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

    async def _until(self, scope: Scope, path: str, order_id: str, settled: Settled, seconds: float) -> Answer:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        with self._hub.waiter(order_id) as bell:
            while True:
                bell.clear()
                latest = await ask_again(self._site, scope, path)
                left = end - loop.time()
                if latest.status != 200 or settled(latest) or left <= 0:
                    return latest
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, LOST_RING_SECONDS)):
                        await bell.wait()

    async def _stream(self, scope: Scope, receive: Receive, send: Send, digits: str) -> None:
        """Send the progress whenever it changes, until it is final or the caller leaves."""
        first = await ask_again(self._site, scope, scope["path"], counted=True)
        caller = caller_in(scope) or ""
        if first.status != 200 or self._streams[caller] >= MOST_STREAMS_PER_CALLER or self._hub.count >= MOST_WAITERS:
            await reply(send, first if first.status != 200 else too_many_streams(scope, first))
            return
        self._streams[caller] += 1
        telling = asyncio.create_task(self._tell(scope, send, digits, first))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams -= Counter([caller])
            for task in (telling, leaving):
                task.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, scope: Scope, send: Send, digits: str, first: Answer) -> None:
        headers = [
            *((key, value) for key, value in first.headers if key.lower() in (b"x-correlation-id", b"tandem-version")),
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        told = header(scope, b"last-event-id")
        async for answer in self._changes(scope, digits, first):
            if answer is None:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            elif (mark := (answer.header(b"etag") or b"").decode().strip('W/"')) != told:
                told = mark
                await send({"type": "http.response.body", "body": as_event(mark, answer), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _changes(self, scope: Scope, digits: str, first: Answer) -> AsyncIterator[Answer | None]:
        """Yield the progress at first and after each ring, None for a heartbeat; end when it is final."""
        answer = first
        with self._hub.waiter(order_uuid(digits)) as bell:
            bell.set()  # it may have moved between the first question and this moment
            while True:
                yield answer
                if answer.status != 200 or is_final(answer):
                    return
                if not await rung(bell):
                    yield None  # and look again: rings may get lost
                bell.clear()
                answer = await ask_again(self._site, scope, scope["path"])


async def rung(bell: asyncio.Event) -> bool:
    """Wait for the bell for one heartbeat; tell whether it rang."""
    # Not asyncio.wait_for: when it rings just as the stream is cancelled, that loses the cancellation (Python 3.11).
    try:
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            await bell.wait()
    except TimeoutError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _body(answer: Answer) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


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


def has_first_outcome(answer: Answer) -> bool:
    """Tell whether an order knows what became of its payment."""
    order = _body(answer)
    # A declined order says why once it is rejected, which is a matter of milliseconds.
    return bool(order["payment_status"] not in ("authorising", "declined") or order["status"] != "placed")


def is_final(answer: Answer) -> bool:
    """Tell whether a progress will not change any more."""
    return bool(_body(answer)["state"] in FINAL_STATES)


def as_event(mark: str, answer: Answer) -> bytes:
    """Return a progress as a server-sent event."""
    return b"id: %b\nevent: progress\ndata: %b\n\n" % (mark.encode(), answer.body)


def too_many_streams(scope: Scope, first: Answer) -> Answer:
    """Return the refusal of one stream too many."""
    detail = f"At most {MOST_STREAMS_PER_CALLER} streams may be open at once. Close one, or poll with an ETag."
    return refusal(scope, "rate_limited", detail, correlation=(first.header(b"x-correlation-id") or b"").decode())
