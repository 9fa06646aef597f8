"""A customer's feed while transactions commit late: whoever has read up to a place has missed nothing before it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from uuid import UUID, uuid4

import pytest
from django.db import connection

from orders import events
from orders.public import feed
from outbox.consumers import Incoming, Received
from outbox.context import Context
from outbox.publishing import unit_of_work
from tests.shop import make_caller

pytestmark = [pytest.mark.requirement("M44")]


def confirmed(order: str) -> Received:
    payload = events.OrderConfirmed(order_id=UUID(order[4:]))
    moment = datetime.now(UTC)
    return Received(payload, Incoming(uuid4(), "orders.order_confirmed", 1, uuid4(), None, "", moment, 1), Context())


def in_own_transaction(order: str, inside: Event | None = None, may_commit: Event | None = None) -> None:
    """Tell of an order in a transaction of its own, which commits when it may."""
    try:
        with unit_of_work():
            assert feed.tell([confirmed(order)]) == {}
            if inside is not None and may_commit is not None:
                inside.set()
                assert may_commit.wait(20)
    finally:
        connection.close()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def until(true) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def orders_told(caller, cursor: str = "") -> tuple[list[str], str]:
    page = caller.get(f"events?cursor={cursor}" if cursor else "events").json()
    return [event["order"] for event in page["data"]], page["cursor"]


def test_an_event_that_commits_late_is_never_behind_a_cursor(busy_shop):
    other_shop = make_caller("Somebody else")
    early, late = busy_shop.placed()["id"], busy_shop.placed()["id"]
    elsewhere = other_shop.placed()["id"]
    forget_placings()
    inside, may_commit = Event(), Event()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(in_own_transaction, late, inside, may_commit)
        assert inside.wait(20)
        second = pool.submit(in_own_transaction, early)
        until(somebody_waits_for_a_lock)
        pool.submit(in_own_transaction, elsewhere).result(20)
        told, cursor = orders_told(busy_shop)
        assert told == [], "the second has to wait for the first, whose place comes before"
        assert orders_told(other_shop)[0] == [elsewhere], "nobody else waits"
        may_commit.set()
        first.result(20)
        second.result(20)
    assert orders_told(busy_shop, cursor)[0] == [late, early]


def forget_placings() -> None:
    """Let the orders be of a time before the feed, so that each has the one event of this test only."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM outbox_delivery WHERE consumer = %s", [feed.CONSUMER])
