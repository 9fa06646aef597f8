"""A line to a server that can be made slow, silent, broken, or broken right behind a certain word.

Plain asyncio on a thread of its own. What the proxy does to one side it does to all its connections, unless it was told
to wait for a word.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHUNK = 65_536


@dataclass(eq=False)
class Link:
    """One connection, with both its ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answer_lost: bool = False
    """Whether the next answer is to be swallowed, and the connection cut in its place."""

    def cut(self) -> None:
        """End it as a crash does: no farewell, a reset."""
        for end in (self.client, self.server):
            end.transport.abort()


@dataclass
class Proxy:
    """Listens on a port of its own and passes everything on to `upstream`."""

    upstream: tuple[str, int]
    port: int = 0
    latency: float = 0.0
    """Seconds that every piece is held back, either way."""
    cuts: int = 0
    """How many connections were cut."""
    _links: set[Link] = field(default_factory=set)
    _silent: bool = False
    _word: bytes = b""
    _words_left: int = 0
    _before: bool = False
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _closing: asyncio.Event = field(init=False)

    # --- the switchboard, for the tests' thread ---

    def black_hole(self) -> None:
        """Swallow everything from now on, and tell nobody."""
        self._call(lambda: setattr(self, "_silent", True))

    def unplug(self) -> None:
        """Cut the client off as a black hole does; the server has noticed, as it does after its keepalives."""
        self.black_hole()
        self._call(lambda: [link.server.transport.abort() for link in self._links])

    def heal(self) -> None:
        """Pass everything on again; whatever lived through a silence is cut, since bytes of it are missing."""
        self._call(self._heal)

    def cut(self) -> int:
        """Cut every connection; return how many there were."""
        return self._call(self._cut_all)

    def lose_answers_to(self, word: bytes, times: int) -> None:
        """Let `word` pass `times` times, and cut the connection when the server has answered it."""
        self._call(lambda: self._watch(word, times, before=False))

    def cut_before(self, word: bytes, times: int) -> None:
        """Cut a connection in the place of sending `word`, `times` times."""
        self._call(lambda: self._watch(word, times, before=True))

    # --- on the loop ---

    def _call(self, work: Callable[[], Any]) -> Any:
        async def done() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def _watch(self, word: bytes, times: int, *, before: bool) -> None:
        self._word, self._words_left, self._before = word, times, before

    def _heal(self) -> None:
        if self._silent:
            self._silent = False
            self._cut_all()

    def _cut_all(self) -> int:
        links = list(self._links)
        for link in links:
            self._cut(link)
        return len(links)

    def _cut(self, link: Link) -> None:
        self.cuts += 1
        link.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(self._pass_on(link, reader, far_writer), self._pass_on(link, far_reader, writer))
        finally:
            link.cut()
            self._links.discard(link)

    async def _pass_on(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass one direction on until it ends, and end the other one with it."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # an end was cut: that is what this is for
            while piece := await source.read(CHUNK):
                if self.latency:
                    await asyncio.sleep(self.latency)
                if self._silent or not self._may_pass(link, piece, from_client=sink is link.server):
                    continue
                sink.write(piece)
                await sink.drain()
        if not self._silent:
            link.cut()

    def _may_pass(self, link: Link, piece: bytes, *, from_client: bool) -> bool:
        if not from_client and link.answer_lost:
            self._cut(link)
            return False
        if from_client and self._words_left and self._word in piece:
            self._words_left -= 1
            link.answer_lost = not self._before
            if self._before:
                self._cut(link)
                return False
        return True

    async def _listen(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._closing = asyncio.Event()
        ready.set()
        async with server:
            await self._closing.wait()
            while self._cut_all():
                await asyncio.sleep(0)  # let each of them end

    def run(self, ready: threading.Event) -> None:
        """Serve until `close` is called."""
        self._loop = asyncio.new_event_loop()
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(ready))

    def close(self) -> None:
        """End it, with all its connections."""
        self._call(self._closing.set)


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy before `host` and `port`."""
    proxy, ready = Proxy((host, port)), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(ready,), name="proxy")
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
