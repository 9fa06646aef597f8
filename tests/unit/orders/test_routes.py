"""Which way an order takes: one test per row of the table."""

from decimal import Decimal

import pytest

from orders.routes import ROUTES, Basket, choose_route
from orders.states import Route

LIMIT = Decimal("10000.00")


@pytest.mark.requirement("M1")
@pytest.mark.parametrize(
    ("total", "beyond_stock", "route"),
    [
        ("25.80", False, Route.STANDARD),
        ("10000.00", False, Route.STANDARD),
        ("10000.01", False, Route.REVIEW),
        ("25.80", True, Route.BACKORDER),
        ("10000.01", True, Route.REVIEW),
    ],
)
def test_the_first_row_that_applies_decides(total, beyond_stock, route):
    assert choose_route(Basket(Decimal(total), LIMIT, beyond_stock)) is route


def test_every_route_has_exactly_one_row_and_the_last_always_applies():
    assert sorted(rule.route for rule in ROUTES) == sorted(Route)
    assert ROUTES[-1].applies(Basket(Decimal(0), LIMIT, beyond_stock=False))
