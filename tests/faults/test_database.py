"""Trouble in the database that leaves the server standing: locks, open transactions, commits that come late."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from fulfillment import facade as fulfillment
from orders.models import Order
from outbox.models import Attempt, Receipt
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import database_url
from tests.lab.commands import Single
from tests.lab.models import Effect
from tests.runtime.waiting import eventually
from tests.shop import CUP, RARE, TEA, Caller, busy_shop, order_of

__all__ = ["busy_shop"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]


def send_single(number: int, **options) -> None:
    with unit_of_work():
        send(Single(bench_id=uuid4(), number=number), **options)


def effects() -> Counter:
    return Counter(Effect.objects.filter(label="single").values_list("number", flat=True))


@contextmanager
def somebody_else() -> Iterator[psycopg.Connection]:
    """A session that has nothing to do with us; its transaction is rolled back at the end."""
    with psycopg.connect(database_url()) as other:
        yield other
        other.rollback()


@contextmanager
def impatient() -> Iterator[None]:
    """Wait for locks a moment only, so that the test need not wait as long as requests may."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    yield
    connection.close()


@pytest.mark.requirement("M5", "M6")
def test_a_row_that_stays_locked_is_answered_with_503_and_when_to_come_again(busy_shop):
    with somebody_else() as other, impatient():
        other.execute("SELECT * FROM fulfillment_stockitem FOR UPDATE")
        started = time.monotonic()
        refused = busy_shop.place(key="k")
        assert time.monotonic() - started < 3
    assert (refused.status_code, refused.json()["code"]) == (503, "service_degraded")
    assert int(refused["Retry-After"]) >= 1
    assert not Order.objects.exists()
    assert busy_shop.place(key="k").status_code == 201


@pytest.mark.requirement("M8", "M10")
def test_a_lock_that_others_hold_costs_a_message_no_attempt(drain):
    with somebody_else() as other:
        other.execute("LOCK TABLE lab_effect IN ACCESS EXCLUSIVE MODE")
        send_single(1)
        with impatient():
            drain(lambda: not _ready(), seconds=10)
    drain()
    assert effects() == Counter([1])
    assert Receipt.objects.get().attempts == 1
    assert not Attempt.objects.exists()


def _ready() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_delivery WHERE state = 'ready'")
        return bool(cursor.fetchone()[0])


@pytest.fixture
def conflicts(transactional_db) -> Iterator[Callable[[str, int], None]]:
    """Have the next inserts into a table fail as transactions do that cannot be put in any order."""
    made = []

    def arrange(table: str, times: int) -> None:
        made.append(table)
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SEQUENCE conflicts_{table}")
            cursor.execute(f"""
                CREATE FUNCTION conflict_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF nextval('conflicts_{table}') <= {times} THEN
                        RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure';
                    END IF;
                    RETURN NEW;
                END $$""")
            cursor.execute(f"CREATE TRIGGER conflict BEFORE INSERT ON {table} EXECUTE FUNCTION conflict_{table}()")

    yield arrange
    with connection.cursor() as cursor:
        for table in made:
            cursor.execute(f"DROP FUNCTION conflict_{table} CASCADE")
            cursor.execute(f"DROP SEQUENCE conflicts_{table}")


@pytest.mark.requirement("M8", "M10")
def test_a_transaction_that_cannot_be_serialised_is_done_again_and_costs_no_attempt(drain, conflicts):
    conflicts("lab_effect", 3)
    for number in range(5):
        send_single(number)
    drain()
    assert effects() == Counter(range(5))
    assert set(Receipt.objects.values_list("attempts", flat=True)) == {1}
    assert not Attempt.objects.exists()


@pytest.mark.requirement("M5", "M6")
def test_an_order_that_cannot_be_serialised_is_refused_with_when_to_come_again(busy_shop, conflicts):
    conflicts("orders_order", 1)
    refused = busy_shop.place(key="k")
    assert (refused.status_code, refused.json()["code"]) == (503, "service_degraded")
    assert int(refused["Retry-After"]) >= 1
    assert not Order.objects.exists()
    assert busy_shop.place(key="k").status_code == 201


@pytest.mark.requirement("M6")
def test_orders_and_corrections_that_name_products_in_opposite_order_never_deadlock(busy_shop):
    before, rounds = deadlocks(), 40
    barrier = threading.Barrier(4)

    def order(skus: tuple[str, str]) -> list[int]:
        caller = Caller(busy_shop.customer, busy_shop.key)
        try:
            barrier.wait()
            return [caller.place(order_of(*((sku, 1) for sku in skus))).status_code for _ in range(rounds)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = [status for statuses in pool.map(order, [(TEA, CUP), (CUP, TEA)] * 2) for status in statuses]
    assert Counter(answers) == {201: 4 * rounds}
    assert fulfillment.availability([TEA, CUP]) == {TEA: 1_000 - 4 * rounds, CUP: 1_000 - 4 * rounds}
    assert deadlocks() == before


def deadlocks() -> int:
    """Return how many the server has had to break up in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


@pytest.mark.requirement("M8")
def test_a_transaction_left_open_elsewhere_does_not_hold_up_delivery(drain):
    with somebody_else() as other:
        other.execute("SELECT pg_current_xact_id()")
        other.execute("SELECT * FROM outbox_message, outbox_delivery")
        for number in range(5):
            send_single(number)
        started = time.monotonic()
        drain(seconds=10)
        assert time.monotonic() - started < 5
        assert effects() == Counter(range(5))
        assert other.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


@pytest.mark.requirement("M8")
def test_a_message_whose_commit_comes_late_is_delivered_though_later_ones_were_done_before(drain):
    written, may_commit = threading.Event(), threading.Event()

    def publish_slowly() -> None:
        try:
            with unit_of_work() as unit:
                send(Single(bench_id=uuid4(), number=1))
                unit.flush()
                written.set()
                assert may_commit.wait(20)
        finally:
            connection.close()

    slow = threading.Thread(target=publish_slowly)
    slow.start()
    assert written.wait(10)
    for number in (2, 3):
        send_single(number)
    drain(lambda: effects() == Counter([2, 3]))
    may_commit.set()
    slow.join()
    drain(lambda: effects() == Counter([1, 2, 3]))


@pytest.mark.requirement("M6", "M8")
def test_the_last_piece_is_sold_once_though_the_session_of_one_buyer_is_cut(busy_shop):
    """The one who was cut off settles by the key: told nothing, it asks again."""
    with somebody_else() as other:
        other.execute("SELECT * FROM fulfillment_stockitem FOR UPDATE")
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(_place_in_thread, busy_shop, "first")
            pid = eventually(lambda: _waiting_for_a_lock())
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
            cut = first.result(20)
    assert (cut.status_code, cut.json()["code"]) == (503, "service_degraded")
    assert busy_shop.place(order_of((RARE, 1)), key="first").status_code == 201
    assert busy_shop.place(order_of((RARE, 1)), key="second").json()["code"] == "insufficient_stock"


def _place_in_thread(caller: Caller, key: str):
    try:
        return Caller(caller.customer, caller.key).place(order_of((RARE, 1)), key=key)
    finally:
        connection.close()


def _waiting_for_a_lock() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        row = cursor.fetchone()
    return row[0] if row else None
