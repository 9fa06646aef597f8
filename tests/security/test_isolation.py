"""What belongs to others does not exist."""

import pytest

from orders.models import Order
from tests.shop import order_of

PATHS = ["", "/progress", "/timeline", "/payments", "/shipments", "/returns"]


def test_another_customer_cannot_cancel(shop, stranger):
    order = shop.placed()["id"]
    response = stranger.post(f"orders/{order}/cancellation", {"reason": "Mine!"})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert Order.objects.get().status == "placed"


def test_lists_begin_with_ones_own(shop, stranger):
    order = shop.placed(reference="R")
    assert stranger.get("orders").json()["data"] == []
    assert stranger.get("orders?reference=R").json()["data"] == []
    assert [found["id"] for found in shop.get("orders").json()["data"]] == [order["id"]]


def test_a_cursor_of_another_customer_leads_only_into_ones_own_list(shop, stranger):
    for _ in range(3):
        shop.placed()
    page = shop.get("orders?limit=1").json()
    assert stranger.get(page["next"]).json() == {"data": [], "next": None, "previous": None}


@pytest.mark.parametrize(
    "order_id",
    ["x", "ord_", "ord_x", "ord_" + "0" * 31, "ord_" + "0" * 33, "ORD_" + "0" * 32, "pay_" + "0" * 32,
     "ord_" + "G" * 32, "%00", "ord_%00", "ord_0190-0000", "..%2f..", "1 OR 1=1", "x" * 2_000],
)  # fmt: skip
@pytest.mark.parametrize("path", PATHS)
def test_ids_that_are_none_are_not_found(shop, order_id, path):
    response = shop.get(f"orders/{order_id}{path}")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "field",
    ["id", "status", "payment_status", "customer", "customer_id", "total", "version", "placed_at", "progress", "links",
     "route", "payment_id", "correlation_id"],
)  # fmt: skip
def test_what_is_shown_cannot_be_written(shop, field):
    shown = shop.placed()
    response = shop.place(order_of(**{field: shown.get(field, "x")}))
    assert response.status_code == 422
    assert [(e["pointer"], e["code"]) for e in response.json()["errors"]] == [(f"/{field}", "unknown_field")]
    assert Order.objects.count() == 1
