"""Nobody occupies all threads of the site, and what the layer refuses itself looks like the site's own answers."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from config.problems import PROBLEMS
from config.waiting import intake, streams, turns
from config.waiting.application import Waiting
from config.waiting.hub import Hub
from orders import callers
from tests.unit.waiting.test_application import Browser, Site

PATH = "/api/v1/orders"


class Busy:
    """A site that answers when it is told to, and knows who it is working for."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.at_work.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def caller(key: str, path: str = PATH, address: str = "203.0.113.9") -> Browser:
    browser = Browser(path=path, authorization=f"Bearer {key}").says()
    browser.scope["client"] = (address, 1)
    return browser


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def run(browsers: list[Browser], check) -> None:
    site = Busy()
    waiting = Waiting(site, threads=8)
    visits = []
    for browser in browsers:
        visits.append(browser.visit(waiting))
        await settled()
    check(site)
    site.open.set()
    await asyncio.wait_for(asyncio.gather(*visits), 5)
    assert all(browser.sent for browser in browsers)
    assert not waiting._site._turns._lines


@pytest.mark.requirement("M43")
def test_one_customer_leaves_threads_for_the_others_whatever_keys_it_uses():
    customer, other = uuid4(), uuid4()
    for number in range(20):
        callers.remember_customer(f"greedy{number}", customer)
    callers.remember_customer("modest", other)

    def check(site: Busy) -> None:
        assert len(site.at_work) == 7
        assert "Bearer modest" in site.at_work

    asyncio.run(run([*(caller(f"greedy{n}", address=f"203.0.113.{n}") for n in range(20)), caller("modest")], check))


def test_keys_that_nobody_knows_share_the_turns_of_their_address():
    strangers = [caller(f"unknown{number}") for number in range(20)]
    elsewhere = caller("unknown", address="203.0.113.10")
    asyncio.run(run([*strangers, elsewhere], lambda site: len(site.at_work) == 7 or pytest.fail(str(site.at_work))))


def test_other_doors_wait_for_nobodys_turn():
    browsers = [caller("x", path="/staff/") for _ in range(20)]
    asyncio.run(run(browsers, lambda site: len(site.at_work) == 20 or pytest.fail(str(site.at_work))))


def is_refused(browser: Browser, code: str) -> None:
    assert browser.status == PROBLEMS[code].status
    problem = json.loads(browser.text)
    assert (problem["code"], problem["status"], problem["instance"]) == (code, browser.status, browser.scope["path"])
    assert problem["correlation_id"] == str(UUID(browser.headers[b"x-correlation-id"].decode()))
    assert browser.headers[b"content-type"] == b"application/problem+json"
    assert browser.headers[b"x-content-type-options"] == b"nosniff"


def test_a_line_that_grows_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(turns, "MOST_IN_LINE", 9)
    browsers = [caller("x") for _ in range(10)]
    asyncio.run(run(browsers, lambda site: len(site.at_work) == 6 or pytest.fail(str(site.at_work))))
    assert [browser.status for browser in browsers] == [200] * 9 + [429]
    is_refused(browsers[-1], "rate_limited")
    assert browsers[-1].headers[b"retry-after"] == b"1"


def test_a_turn_is_given_on_when_its_holder_fails_or_leaves():
    async def prove() -> None:
        line = turns.Turns(1)
        with pytest.raises(RuntimeError):
            async with line.turn("a"):
                raise RuntimeError
        holder = asyncio.Event()

        async def hold() -> None:
            async with line.turn("a"):
                await holder.wait()

        first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
        await settled()
        first.cancel()
        await settled()
        holder.set()
        await asyncio.wait_for(second, 5)
        assert not line._lines

    asyncio.run(prove())


def test_headers_beyond_all_measure_reach_no_thread():
    browser = caller("x" * intake.MOST_HEADER_BYTES)
    asyncio.run(_visit(browser))
    is_refused(browser, "headers_too_large")
    browser = caller("x")
    browser.scope["query_string"] = b"q" * intake.MOST_HEADER_BYTES
    asyncio.run(_visit(browser))
    is_refused(browser, "headers_too_large")


def test_a_body_that_takes_too_long_is_answered_with_a_problem(monkeypatch):
    monkeypatch.setattr(intake, "LONGEST_BODY_SECONDS", 0.05)
    browser = Browser(method="POST", path=PATH).says(b"{", more=True)
    asyncio.run(_visit(browser))
    is_refused(browser, "request_timeout")


def test_a_stream_too_many_is_answered_with_a_problem(settings):
    settings.STREAMS_PER_CUSTOMER = 0
    browser = Browser(path=f"{PATH}/ord_{'0' * 32}/progress", accept="text/event-stream").says()
    asyncio.run(_visit(browser, opened=True))
    is_refused(browser, "rate_limited")


async def _visit(browser: Browser, *, opened: bool = False) -> None:
    site = Busy()
    if opened:
        site.open.set()
    await asyncio.wait_for(browser.visit(Waiting(site)), 5)


@pytest.mark.requirement("M5")
def test_a_stream_counts_as_one_request_however_often_it_looks(monkeypatch):
    async def deaf(self: Hub) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Hub, "_listen", deaf)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    site = Site()
    site.after[4] = lambda: setattr(site, "state", "done")
    browser = Browser(path=f"{PATH}/ord_{'0' * 32}/progress", accept="text/event-stream").says()
    asyncio.run(asyncio.wait_for(_streamed(site, browser), 5))
    counted = [callers.ASKED_AGAIN.encode() not in dict(scope["headers"]) for scope in site.scopes]
    assert (counted[0], set(counted[1:])) == (True, {False})


async def _streamed(site: Site, browser: Browser) -> None:
    await browser.visit(Waiting(site))
