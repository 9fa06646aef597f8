"""Asking whether an order has changed: cheap while it has not, and never wrong when it has."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import F

from orders.models import Order
from outbox.models import Breaker, Delivery
from tests.shop import RARE, Caller, order_of

PATHS = ("orders/{id}", "orders/{id}/progress")


def asked(shop: Caller, path: str, tag: str) -> int:
    return shop.get(path, if_none_match=tag).status_code


@pytest.fixture(params=PATHS)
def read(request, shop) -> tuple[str, str]:
    """A path that was read, and asked about once."""
    path = request.param.format(id=shop.placed()["id"])
    tag = shop.get(path)["ETag"]
    assert asked(shop, path, tag) == 304
    return path, tag


@pytest.mark.requirement("M5")
def test_an_unchanged_order_costs_a_statement_beside_the_callers_own(shop, read, statements):
    path, tag = read
    statements.clear()
    answer = shop.get(path, if_none_match=tag)
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag)
    assert len([sql for sql in statements if "ratebucket" not in sql]) == 2


@pytest.mark.parametrize("retries", [1, 2])
def test_a_retry_is_a_change(shop, read, retries):
    path, tag = read
    for attempts in range(retries):
        Delivery.objects.update(attempts=attempts + 1, state="scheduled", due_at=F("enqueued_at") + timedelta(hours=1))
        assert asked(shop, path, tag) == 200
        tag = shop.get(path)["ETag"]
        assert [asked(shop, path, tag) for _ in range(2)] == [304, 304]


def test_a_change_of_the_order_itself_is_one(shop):
    path = f"orders/{shop.placed()['id']}"
    tag = shop.get(path)["ETag"]
    assert [asked(shop, path, tag) for _ in range(2)] == [304, 304]
    Order.objects.update(payment_status="authorised")
    assert asked(shop, path, tag) == 200


def test_work_that_has_become_late_is_a_change(shop, read):
    path, tag = read
    Delivery.objects.update(enqueued_at=F("enqueued_at") - timedelta(minutes=1))
    assert asked(shop, path, tag) == 200


def test_a_breaker_that_opens_is_a_change(shop, read):
    path, tag = read
    [consumer] = Delivery.objects.filter(consumer__startswith="payments.").values_list("consumer", flat=True)
    Breaker.objects.update_or_create(destination="payments", defaults={"consumers": [consumer], "state": "open"})
    assert asked(shop, path, tag) == 200


def test_an_order_of_somebody_else_is_not_found_whatever_its_tag(shop, stranger, read):
    path, tag = read
    assert asked(stranger, path, tag) == 404


def test_what_an_order_waits_for_is_never_taken_for_unchanged(shop):
    from_stock = shop.place(order_of((RARE, 1))).json()
    Order.objects.update(fulfillment_status="backordered")
    path = f"orders/{from_stock['id']}"
    tag = shop.get(path)["ETag"]
    assert asked(shop, path, tag) == 304
    Order.objects.filter(id=UUID(from_stock["id"][4:])).update(fulfillment_status="reserved")
    assert asked(shop, path, tag) == 200


@pytest.mark.requirement("M5")
def test_while_an_order_goes_its_way_the_answer_is_that_of_reading_it(busy_shop, drain):
    path = f"orders/{busy_shop.placed()['id']}"
    tags = []

    def compare() -> bool:
        if tags:
            unchanged = asked(busy_shop, path, tags[-1]) == 304
            assert unchanged == (busy_shop.get(path)["ETag"] == tags[-1])
        tags.append(busy_shop.get(path)["ETag"])
        assert asked(busy_shop, path, tags[-1]) == 304
        return len(set(tags)) > 1

    drain(until=compare)
