"""One key, many requests at once: one order."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from fulfillment import facade as fulfillment
from orders.models import Order
from outbox.models import IdempotencyRecord, Message
from tests.shop import CUP, RARE, TEA, Caller, order_of

CLIENTS = 50


def at_once(caller: Caller, bodies: list, keys: list[str]) -> list:
    """Send all requests from as many threads, started together."""
    barrier = threading.Barrier(len(bodies))

    def send(body, key):
        try:
            barrier.wait()
            return Caller(caller.customer, caller.key).place(body, key)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies, keys))


@pytest.mark.requirement("M2", "M6")
def test_fifty_requests_with_one_key_place_one_order(busy_shop):
    answers = at_once(busy_shop, [order_of()] * CLIENTS, ["k"] * CLIENTS)
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_in_progress"}
    assert all(answer["Retry-After"] == "1" for answer in answers if answer.status_code == 409)
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert (Order.objects.count(), IdempotencyRecord.objects.count()) == (1, 1)
    assert Message.objects.filter(name="orders.order_placed").count() == 1
    assert fulfillment.availability([TEA]) == {TEA: 998}
    assert busy_shop.place(key="k")["Idempotent-Replayed"] == "true"


@pytest.mark.requirement("M6")
def test_fifty_requests_for_the_last_piece_sell_it_once(busy_shop):
    answers = at_once(busy_shop, [order_of((RARE, 1))] * CLIENTS, [f"k{number}" for number in range(CLIENTS)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CLIENTS - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"insufficient_stock"}
    assert Order.objects.count() == 1
    assert fulfillment.availability([RARE]) == {RARE: 0}


@pytest.mark.requirement("M6")
def test_orders_naming_products_in_opposite_order_all_succeed(busy_shop):
    bodies = [order_of((TEA, 1), (CUP, 1)) if number % 2 else order_of((CUP, 1), (TEA, 1)) for number in range(20)]
    answers = at_once(busy_shop, bodies, [f"k{number}" for number in range(20)])
    assert {answer.status_code for answer in answers} == {201}
    assert fulfillment.availability([TEA, CUP]) == {TEA: 980, CUP: 980}


def test_requests_with_one_key_and_different_bodies_place_one_order(busy_shop):
    bodies = [order_of((TEA, quantity)) for quantity in range(1, 21)]
    answers = at_once(busy_shop, bodies, ["k"] * 20)
    assert Counter(answer.status_code for answer in answers)[201] == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "idempotency_in_progress",
        "idempotency_key_reused",
    }
    assert Order.objects.count() == 1
