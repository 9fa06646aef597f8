"""Reading orders, lists, products and the account."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.utils.dateparse import parse_datetime

from orders.models import Order
from tests.shop import CUP, TEA, add_product


def ids(page) -> list[str]:
    return [item["id"] for item in page["data"]]


@pytest.mark.requirement("M43")
def test_a_list_is_newest_first_and_walked_both_ways(shop):
    placed = [shop.placed()["id"] for _ in range(7)][::-1]
    first = shop.get("orders?limit=3").json()
    second = shop.get(first["next"]).json()
    third = shop.get(second["next"]).json()
    assert ids(first) + ids(second) + ids(third) == placed
    assert (first["previous"], third["next"]) == (None, None)
    assert ids(shop.get(third["previous"]).json()) == ids(second)
    back = shop.get(shop.get(third["previous"]).json()["previous"]).json()
    assert (ids(back), back["previous"]) == (ids(first), None)
    assert ids(shop.get(back["next"]).json()) == ids(second)


def test_pages_are_stable_while_orders_come_in(shop):
    placed = [shop.placed()["id"] for _ in range(4)][::-1]
    first = shop.get("orders?limit=2").json()
    shop.placed()
    assert ids(shop.get(first["next"]).json()) == placed[2:]


def test_orders_placed_at_the_same_instant_are_neither_lost_nor_shown_twice(shop):
    placed = {shop.placed()["id"] for _ in range(5)}
    Order.objects.update(placed_at=Order.objects.first().placed_at)
    seen, url = [], "orders?limit=2"
    while url:
        page = shop.get(url).json()
        seen, url = seen + ids(page), page["next"]
    assert (len(seen), set(seen)) == (5, placed)


def test_a_list_has_all_of_each_order_in_a_fixed_number_of_statements(shop, statements):
    for _ in range(3):
        shop.placed()
    statements.clear()
    few = shop.get("orders?limit=1").json()
    for_one = len(statements)
    statements.clear()
    page = shop.get("orders").json()
    assert len(statements) == for_one
    assert page["data"][0] == few["data"][0] == shop.get(f"orders/{page['data'][0]['id']}").json()


def test_filters_narrow_the_list_together(shop):
    first = shop.placed((TEA, 1), reference="R-1")
    second = shop.placed((CUP, 1), reference="R-2")
    third = shop.placed((TEA, 1), (CUP, 1), reference="R-1")
    shop.post(f"orders/{third['id']}/cancellation", {"reason": "No"})

    def found(query: str) -> set[str]:
        return set(ids(shop.get(f"orders?{query}").json()))

    assert found("reference=R-1") == {first["id"], third["id"]}
    assert found(f"sku={CUP}") == {second["id"], third["id"]}
    assert found("status=cancelling") == {third["id"]}
    assert found(f"reference=R-1&sku={TEA}&status=placed") == {first["id"]}
    assert found(f"placed_after={first['placed_at']}") == {second["id"], third["id"]}
    assert found(f"placed_before={second['placed_at']}") == {first["id"]}
    assert found("reference=nothing") == set()


def test_filters_go_along_from_page_to_page(shop):
    for number in range(4):
        shop.placed(reference="yes" if number % 2 else "no")
    page = shop.get("orders?reference=yes&limit=1").json()
    assert parse_qs(urlsplit(page["next"]).query)["reference"] == ["yes"]
    assert len(shop.get(page["next"]).json()["data"]) == 1
    assert shop.get(page["next"]).json()["next"] is None


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.0", "", "9" * 30, "\u0661"])
def test_limits_out_of_range_are_refused(shop, limit):
    response = shop.get(f"orders?limit={limit}")
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "?limit")


@pytest.mark.parametrize(
    "query",
    ["status=paid", "placed_after=yesterday", "placed_before=2026-01-01T00:00:00", "reference=%00", "sku=", "color=red",
     "placed_after=9999-12-31T23:59:59-01:00", "reference=" + "x" * 201],
)  # fmt: skip
def test_filters_that_make_no_sense_are_refused(shop, query):
    response = shop.get(f"orders?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "%00", "ä", "e30", "W10", "bnVsbA", "WyJvcmRlcnMiLGZhbHNlLFsieCIsInkiXV0",
     "WyJwcm9kdWN0cyIsZmFsc2UsWyJBIl1d", "WyJvcmRlcnMiLGZhbHNlLFtdXQ", "A" * 3_000],
)  # fmt: skip
def test_cursors_made_by_hand_are_refused(shop, cursor):
    response = shop.get(f"orders?cursor={cursor}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.requirement("M5")
def test_an_unchanged_order_is_not_sent_again(shop):
    order = shop.placed()
    for path in (f"orders/{order['id']}", f"orders/{order['id']}/progress", "orders", "products", "account"):
        tag = shop.get(path)["ETag"]
        again = shop.get(path, if_none_match=tag)
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
        assert shop.get(path, if_none_match=f'W/{tag}, "other"').status_code == 304
        assert shop.get(path, if_none_match='"other"').status_code == 200


def test_the_etag_changes_with_the_progress(shop):
    order = shop.placed()
    before = shop.get(f"orders/{order['id']}")["ETag"]
    Order.objects.filter(id=UUID(order["id"][4:])).update(payment_status="authorised")
    assert shop.get(f"orders/{order['id']}")["ETag"] != before


def test_the_timeline_begins_with_the_placing(shop):
    order = shop.placed()
    entries = shop.get(f"orders/{order['id']}/timeline").json()["data"]
    assert [entry["type"] for entry in entries] == ["order.placed", "payment.created"]
    assert parse_datetime(entries[0]["at"]) - parse_datetime(order["placed_at"]) < timedelta(seconds=5)


def test_the_payment_of_an_order_is_shown(shop):
    order = shop.placed()
    [payment] = shop.get(f"orders/{order['id']}/payments").json()["data"]
    assert payment["id"].startswith("pay_")
    assert (payment["order"], payment["amount"]) == (order["id"], order["total"])
    assert payment["captured"] == {"amount": "0.00", "currency": "EUR"}


def test_an_order_without_parcels_has_an_empty_list(shop):
    assert shop.get(f"orders/{shop.placed()['id']}/shipments").json()["data"] == []


def test_products_have_price_and_availability(shop):
    product = shop.get(f"products/{TEA}").json()
    assert (product["sku"], product["price"]) == (TEA, {"amount": "12.90", "currency": "EUR"})
    assert product["availability"] == {"quantity": 1_000, "backorder": False}
    shop.placed((TEA, 3))
    assert shop.get(f"products/{TEA}").json()["availability"]["quantity"] == 997


def test_products_are_paged_by_sku_and_filtered_by_category(shop):
    add_product("ZZZ-1", "1.00", 1, category="Books")
    page = shop.get("products?limit=2").json()
    skus = ids(page) + ids(shop.get(page["next"]).json())
    assert skus == sorted(skus)
    assert len(skus) == 4
    assert ids(shop.get("products?category=Books").json()) == ["ZZZ-1"]


@pytest.mark.parametrize("sku", ["NOPE", "%00", "x" * 300])
def test_a_product_that_does_not_exist_is_not_found(shop, sku):
    response = shop.get(f"products/{sku}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_account_tells_who_calls_with_which_key(shop):
    account = shop.get("account").json()
    assert account["id"] == shop.customer.public_id
    assert account["name"] == "Quay & Sons"
    assert account["api_key"]["prefix"] == shop.key[:12]
