"""The asynchronous layer in front of a site that the test plays: waits, streams, and what it takes in."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from config.waiting import application, intake, streams
from config.waiting.application import Waiting
from config.waiting.hub import Hub

ORDER = "ord_" + "0" * 31 + "1"
PATH = f"/api/v1/orders/{ORDER}/progress"


class Site:
    """Answers with one progress, which the test changes; counts the questions."""

    def __init__(self) -> None:
        self.state, self.asked, self.status = "in_progress", 0, 200
        self.scopes: list[dict[str, Any]] = []
        self.body = b""
        self.after: dict[int, Callable[[], object]] = {}
        """What happens right after the n-th answer was made."""

    @property
    def etag(self) -> bytes:
        return f'"{self.state}"'.encode()

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        self.body = (await receive()).get("body", b"")
        unchanged = self.status == 200 and (b"if-none-match", self.etag) in scope["headers"]
        body = b"" if unchanged else json.dumps({"state": self.state}).encode()
        headers, status = [(b"etag", self.etag)], 304 if unchanged else self.status
        self.asked += 1
        self.after.get(self.asked, lambda: None)()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Browser:
    """A caller: what it sends, and all that it is sent."""

    def __init__(self, *, method: str = "GET", path: str = PATH, **headers: str) -> None:
        encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.scope = {"type": "http", "method": method, "path": path, "scheme": "http", "headers": encoded}
        self.sent: list[dict[str, Any]] = []
        self.parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def says(self, body: bytes = b"", *, more: bool = False) -> "Browser":
        self.parts.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def leaves(self) -> "Browser":
        self.parts.put_nowait({"type": "http.disconnect"})
        return self

    async def send(self, event: dict[str, Any]) -> None:
        self.sent.append(event)

    def visit(self, site: Waiting) -> "asyncio.Task[None]":
        return asyncio.create_task(site(self.scope, self.parts.get, self.send))

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def text(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.sent[1:])


@pytest.fixture
def site(monkeypatch) -> Site:
    async def deaf(self: Hub) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Hub, "_listen", deaf)
    return Site()


@pytest.mark.requirement("M5")
def test_a_conditional_wait_in_which_nothing_moves_ends_in_a_304_without_a_body(site, monkeypatch):
    monkeypatch.setattr(application, "wait_seconds", lambda scope: 0.05)
    browser = Browser(prefer="wait=1", if_none_match='"in_progress"').says()
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.status, browser.text) == (304, b"")
    assert b"content-length" not in browser.headers


@pytest.mark.requirement("M5")
def test_a_conditional_wait_ends_with_the_news_and_its_own_tag(site):
    browser = Browser(prefer="wait=5", if_none_match='"in_progress"').says()
    site.after[1] = lambda: setattr(site, "state", "done")
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.status, json.loads(browser.text)) == (200, {"state": "done"})
    assert browser.headers[b"etag"] == b'"done"'
    assert browser.headers[b"preference-applied"] == b"wait=5"
    assert browser.headers[b"content-length"] == str(len(browser.text)).encode()


@pytest.mark.requirement("M5")
def test_a_stream_misses_nothing_that_happens_before_it_listens(site):
    browser = Browser(accept="text/event-stream").says()
    site.after[1] = lambda: setattr(site, "state", "done")
    asyncio.run(_visited(Waiting(site), browser))
    assert [line for line in browser.text.splitlines() if line.startswith(b"data")] == [
        b'data: {"state": "in_progress"}',
        b'data: {"state": "done"}',
    ]


@pytest.mark.requirement("M5")
def test_a_stream_whose_ring_got_lost_looks_again_with_its_heartbeat(site, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    browser = Browser(accept="text/event-stream").says()
    site.after[2] = lambda: setattr(site, "state", "done")
    asyncio.run(_visited(Waiting(site), browser))
    assert b": still here" in browser.text
    assert browser.text.endswith(b'data: {"state": "done"}\n\n')


@pytest.mark.requirement("M5")
def test_a_stream_ends_when_its_reader_leaves(site):
    waiting = Waiting(site)
    browser = Browser(accept="text/event-stream").says().leaves()
    asyncio.run(_visited(waiting, browser))
    assert waiting._hub.count == 0
    assert waiting._streams.count == 0


@pytest.mark.requirement("M5")
def test_a_reader_who_comes_back_is_told_only_what_is_new(site, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    browser = Browser(accept="text/event-stream", last_event_id="in_progress").says()
    site.after[2] = lambda: setattr(site, "state", "done")
    site.after[1] = lambda: setattr(site, "state", "waiting")
    asyncio.run(_visited(Waiting(site), browser))
    assert [line for line in browser.text.splitlines() if line.startswith(b"id")] == [b"id: waiting", b"id: done"]


@pytest.mark.requirement("M5")
def test_a_reader_who_has_been_told_the_end_need_not_come_back(site):
    site.state = "done"
    browser = Browser(accept="text/event-stream", last_event_id="done").says()
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.status, browser.text) == (204, b"")


@pytest.mark.requirement("M7")
def test_a_reader_who_does_not_read_is_given_up(site, monkeypatch):
    monkeypatch.setattr(streams, "SLOW_READER_SECONDS", 0.05)
    browser, waiting = Browser(accept="text/event-stream").says(), Waiting(site)

    async def full(event: dict[str, Any]) -> None:
        browser.sent.append(event)
        if event["type"] == "http.response.body":
            await asyncio.Event().wait()

    monkeypatch.setattr(browser, "send", full)
    asyncio.run(_visited(waiting, browser))
    assert (len(browser.sent), waiting._streams.count, waiting._hub.count) == (2, 0, 0)


@pytest.mark.requirement("M5")
def test_a_stream_ends_without_a_word_when_its_key_is_not_good_any_more(site):
    browser = Browser(accept="text/event-stream").says()
    site.after[1] = lambda: setattr(site, "status", 401)
    asyncio.run(_visited(Waiting(site), browser))
    assert browser.text.count(b"data:") == 1


@pytest.mark.requirement("M7")
def test_those_who_wait_are_answered_and_streams_end_when_the_process_is_about_to(site):
    async def scene() -> tuple[Browser, Browser]:
        waiting = Waiting(site)
        streaming, patient = Browser(accept="text/event-stream").says(), Browser(prefer="wait=30").says()
        visits = [browser.visit(waiting) for browser in (streaming, patient)]
        while waiting._hub.count < 2 or site.asked < 4:
            await asyncio.sleep(0)
        waiting.leave()
        await asyncio.wait_for(asyncio.gather(*visits), 5)
        return streaming, patient

    streaming, patient = asyncio.run(scene())
    assert streaming.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (patient.status, json.loads(patient.text)) == (200, {"state": "in_progress"})


@pytest.mark.requirement("M7")
def test_over_the_share_of_waits_the_answer_comes_at_once_and_says_so(site, monkeypatch):
    monkeypatch.setattr(application, "MOST_WAITS", 0)
    browser = Browser(prefer="wait=30").says()
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.status, site.asked) == (200, 1)
    assert b"preference-applied" not in browser.headers


@pytest.mark.requirement("M5")
@pytest.mark.parametrize("moment", ["before it listens", "while its first question is under way"])
def test_a_wait_looks_at_once_when_it_may_have_missed_a_ring(moment):
    async def scene() -> bool:
        hub = Hub()
        hub._listening = asyncio.create_task(asyncio.Event().wait())
        now = asyncio.get_running_loop().time()
        hub._hears_since = None if moment == "before it listens" else now - 10
        if moment != "before it listens":
            hub.ring("order")
        with hub.waiter("order", now) as bell:
            return bell.is_set()

    assert asyncio.run(scene())


@pytest.mark.requirement("M7")
def test_a_wait_asks_nothing_while_nothing_rings():
    async def scene() -> tuple[bool, bool]:
        hub = Hub()
        hub._listening = asyncio.create_task(asyncio.Event().wait())
        now = asyncio.get_running_loop().time()
        hub._hears_since = now - 10
        hub.ring("another")
        with hub.waiter("order", now) as bell:
            before = bell.is_set()
            hub.ring("order")
            return before, bell.is_set()

    assert asyncio.run(scene()) == (False, True)


def test_a_slow_body_reaches_no_thread_and_is_given_up(site, monkeypatch):
    monkeypatch.setattr(intake, "LONGEST_BODY_SECONDS", 0.05)
    browser = Browser(method="POST", path="/api/v1/orders").says(b"{", more=True)
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.status, site.asked) == (408, 0)


def test_a_caller_who_leaves_within_the_body_has_asked_for_nothing(site):
    browser = Browser(method="POST", path="/staff/").says(b"reason=all&confirm", more=True).leaves()
    asyncio.run(_visited(Waiting(site), browser))
    assert (browser.sent, site.asked) == ([], 0)


def test_a_body_in_parts_arrives_whole(site):
    browser = Browser(method="POST", path="/staff/").says(b"reason=", more=True).says(b"all")
    asyncio.run(_visited(Waiting(site), browser))
    assert site.body == b"reason=all"


def test_of_an_endless_body_only_a_part_is_read(site, monkeypatch):
    monkeypatch.setattr(intake, "MOST_BODY_BYTES", 10)
    browser = Browser(method="POST", path="/staff/")
    for _ in range(5):
        browser.says(b"12345678", more=True)
    asyncio.run(_visited(Waiting(site), browser))
    assert (len(site.body), browser.parts.qsize()) == (16, 3)


def test_a_header_that_only_looks_like_a_proxys_is_dropped(site):
    browser = Browser().says()
    browser.scope["headers"] = [(b"x_forwarded_proto", b"https"), (b"x-forwarded-for", b"10.0.0.1")]
    asyncio.run(_visited(Waiting(site), browser))
    assert site.scopes[0]["headers"] == [(b"x-forwarded-for", b"10.0.0.1")]


async def _visited(site: Waiting, browser: Browser) -> None:
    await asyncio.wait_for(browser.visit(site), 5)
