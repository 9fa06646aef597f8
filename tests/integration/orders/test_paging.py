"""Pages by key: every row once in both directions while others come in, and no dearer far from the start."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from orders.api.filters import ORDER_FILTERS, filters_of
from orders.api.orders import NEWEST_FIRST
from orders.api.pagination import Page
from orders.models import Customer, Order
from tests.shop import ADDRESS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL = "http://testserver/api/v1/orders"


def add_orders(customer: Customer, minutes: list[int]) -> list[Order]:
    """Add orders placed so many minutes after noon; several may be of the same instant."""
    at = [NOON + timedelta(minutes=minute) for minute in minutes]
    return Order.objects.bulk_create(
        Order(customer=customer, currency="EUR", total=Decimal(1), shipping_address=ADDRESS, payment_method="pm",
              correlation_id=uuid7(), placed_at=time, updated_at=time)
        for time in at
    )  # fmt: skip


def page(customer: Customer, url: str) -> Page[Order]:
    request = RequestFactory().get(f"/?{urlsplit(url).query}")
    rows = Order.objects.filter(customer=customer).filter(filters_of(request, ORDER_FILTERS))
    return NEWEST_FIRST.page(request, rows, URL)


@pytest.mark.requirement("M43")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    minutes=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    limit=st.integers(1, 5),
    late=st.lists(st.integers(6, 9), max_size=6),
)
def test_every_order_is_shown_once_in_both_directions_while_others_are_placed(db, minutes, limit, late):
    customer = Customer.objects.create(name="Quay & Sons")
    there = sorted(add_orders(customer, minutes), key=lambda order: (order.placed_at, order.id), reverse=True)
    down, pages, url = [], [], f"{URL}?limit={limit}"
    while url:
        pages.append(page(customer, url))
        down += [order.id for order in pages[-1].rows]
        url = pages[-1].next
        add_orders(customer, late)
    assert down == [order.id for order in there]
    up, url = [order.id for order in pages[-1].rows], pages[-1].previous
    while url and len(up) < len(there):
        former = page(customer, url)
        up, url = [order.id for order in former.rows] + up, former.previous
    assert up[-len(there) :] == down


FILL = """
INSERT INTO orders_order (id, customer_id, status, payment_status, fulfillment_status, route, currency, total,
                          shipping_address, payment_method, payment_id, reference, metadata, correlation_id, placed_at,
                          updated_at)
SELECT gen_random_uuid(), %(customer)s, 'placed', 'authorising', 'reserved', 'standard', 'EUR', 1, '{}', 'pm',
       gen_random_uuid(), 'R-' || number %% 1000, '{}', gen_random_uuid(), time, time
FROM generate_series(1, %(count)s) AS number, LATERAL (SELECT %(noon)s + number * interval '1 second') AS at (time)
"""
LINES = """
INSERT INTO orders_orderline (id, order_id, position, sku, name, quantity, unit_price, total, tax_rate, weight_grams)
SELECT gen_random_uuid(), id, 1, 'SKU-' || abs(hashtext(id::text)) %% 40, 'Name', 1, 1, 1, 0, 1 FROM orders_order
"""
COUNT = 200_000
MIDDLE = (NOON + timedelta(seconds=COUNT // 2)).isoformat().replace("+00:00", "Z")


QUERIES = (
    "",
    "status=placed",
    "status=cancelled",
    "reference=R-7",
    "sku=SKU-7",
    "sku=NOPE",
    f"placed_before={MIDDLE}",
    f"status=placed&sku=SKU-7&placed_before={MIDDLE}",
    f"reference=R-7&sku=SKU-7&placed_after={MIDDLE}",
)
MOST_ROWS = 20_000
"""A page of one in forty orders reads a few hundred; a list read from its start would be all of them."""


@pytest.fixture
def many(db) -> Iterator[Customer]:
    customer = Customer.objects.create(name="Quay & Sons")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(FILL, {"customer": customer.id, "count": COUNT, "noon": NOON})
        cursor.execute(LINES, {})
        cursor.execute("ANALYZE orders_order, orders_orderline")
    return customer


def rows_touched(plan: dict) -> float:
    """How many rows the nodes of a plan gave or threw away."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(rows_touched(child) for child in plan.get("Plans", []))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("M43")
def test_a_page_touches_few_rows_of_two_hundred_thousand_wherever_it_is(many):
    deep = NEWEST_FIRST.place(MIDDLE.replace("Z", "+00:00"), str(uuid7()))
    for query in QUERIES:
        for url in (f"{URL}?{query}", f"{URL}?{query}&cursor={deep}"):
            explained = explain(many, url)
            assert rows_touched(explained) < MOST_ROWS, (url, json.dumps(explained, indent=1))


def explain(customer: Customer, url: str) -> dict:
    """Return the plan of a page's statement, carried out."""
    plans = []

    def instead(execute, sql, params, many, context):
        if "orders_order" in sql:
            with connection.connection.cursor() as raw:
                plans.append(raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params).fetchone()[0][0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(instead):
        page(customer, url)
    return plans[0]
