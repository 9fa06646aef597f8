"""Streams of an order's progress as server-sent events.

A stream that is idle costs a connection, two small tasks and a comment every few seconds. It ends when the order is
final, when its reader leaves or does not read, and when this process is told to stop: a reader that comes back, to
whatever process there is then, says with `Last-Event-ID` what it has.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

from django.conf import settings

from config.waiting.hub import Hub
from config.waiting.inner import Answer, Application, Receive, Scope, Send, ask_again, header, reply
from config.waiting.progress import is_final, order_uuid
from config.waiting.refusals import refusal
from config.waiting.turns import caller_in

MOST_STREAMS = 2_000
"""Streams of one process."""
HEARTBEAT_SECONDS = 15.0
SLOW_READER_SECONDS = 20.0
"""What a reader has not taken after this long is not taken any more: the stream ends, and nothing piles up."""
RECONNECT_MS = (500, 3_000)
"""Readers are asked to come back after a random time between these: after a restart not all at once."""


class Streams:
    """The open streams of this process."""

    def __init__(self, site: Application, hub: Hub) -> None:
        self._site, self._hub = site, hub
        self._open: Counter[str] = Counter()
        self.leaving = False
        """Set when the process is about to end; whoever sets it rings."""

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    async def serve(self, scope: Scope, receive: Receive, send: Send, digits: str) -> None:
        """Send the progress whenever it changes, until it is final or the caller leaves."""
        since = asyncio.get_running_loop().time()
        first = await ask_again(self._site, scope, scope["path"], counted=True)
        caller = caller_in(scope) or ""
        if refused := self._instead(scope, first, caller):
            await reply(send, refused)
            return
        self._open[caller] += 1
        telling = asyncio.create_task(self._tell(scope, send, self._changes(scope, digits, first, since), first))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open -= Counter([caller])
            for task in (telling, leaving):
                task.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    def _instead(self, scope: Scope, first: Answer, caller: str) -> Answer | None:
        """Return what is answered where no stream is opened."""
        if first.status != 200:
            return first
        correlation = (first.header(b"x-correlation-id") or b"").decode()
        told = header(scope, b"last-event-id")
        if told and told == mark_of(first) and is_final(first):
            # All was told. This is how a reader that would come back again and again is told so.
            return Answer(204, [(b"x-correlation-id", correlation.encode())], b"")
        if self._open[caller] >= settings.STREAMS_PER_CUSTOMER:
            most = f"At most {settings.STREAMS_PER_CUSTOMER} streams may be open at once."
            return refusal(scope, "rate_limited", f"{most} Close one, or poll with an ETag.", correlation=correlation)
        if self.count >= MOST_STREAMS:
            detail = "No more streams can be opened right now. Poll with an ETag, or try again later."
            return refusal(scope, "service_degraded", detail, correlation=correlation)
        return None

    async def _tell(self, scope: Scope, send: Send, changes: AsyncIterator[Answer | None], first: Answer) -> None:
        async def say(event: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(SLOW_READER_SECONDS):
                await send({"type": "http.response.body", "body": event, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": stream_headers(first)})
        await say(b"retry: %d\n\n" % random.randint(*RECONNECT_MS))  # noqa: S311 - no secret
        told = header(scope, b"last-event-id")
        async for answer in changes:
            if answer is None:
                await say(b": still here\n\n")
            elif (mark := mark_of(answer)) != told:
                told = mark
                await say(as_event(mark, answer))
        await say(b"", more=False)

    async def _changes(self, scope: Scope, digits: str, first: Answer, since: float) -> AsyncIterator[Answer | None]:
        """Yield the progress at first and after each change, None for a heartbeat; end when it is final."""
        answer = first
        with self._hub.waiter(order_uuid(digits), since) as bell:
            yield answer
            while not is_final(answer) and not self.leaving:
                if not await rung(bell):
                    yield None  # and look again: rings may get lost
                bell.clear()
                latest = await ask_again(self._site, scope, scope["path"], has=answer.header(b"etag"))
                if latest.status == 200:
                    answer = latest
                    yield answer
                elif latest.status != 304:
                    return  # the key was revoked, say, or the site is in trouble: coming back will tell


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


def mark_of(answer: Answer) -> str:
    """Return what a reader says it has when it comes back."""
    return (answer.header(b"etag") or b"").decode().strip('W/"')


def as_event(mark: str, answer: Answer) -> bytes:
    """Return a progress as a server-sent event."""
    return b"id: %b\nevent: progress\ndata: %b\n\n" % (mark.encode(), answer.body)


def stream_headers(first: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of a stream: those of its first look that are not about its form."""
    kept = (b"x-correlation-id", b"ratelimit", b"ratelimit-policy", b"tandem-version")
    return [
        *((key, value) for key, value in first.headers if key.lower() in kept),
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]
