"""Which way an order takes. Pure: one table, read from the top; the first row that applies decides."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from orders.states import Route


@dataclass(frozen=True)
class Basket:
    """What the choice depends on."""

    total: Decimal
    review_above: Decimal
    """In the order's currency."""
    beyond_stock: bool
    """A product that may be ordered beyond what is in stock is, in this order."""


@dataclass(frozen=True)
class Rule:
    """One row of the table."""

    route: Route
    when: str
    applies: Callable[[Basket], bool]


ROUTES = (
    Rule(Route.REVIEW, "the total is above the limit", lambda basket: basket.total > basket.review_above),
    Rule(Route.BACKORDER, "a line waits for stock that is allowed to wait", lambda basket: basket.beyond_stock),
    Rule(Route.STANDARD, "everything else", lambda basket: True),
)


def choose_route(basket: Basket) -> Route:
    """Return the route of the first row that applies."""
    return next(rule.route for rule in ROUTES if rule.applies(basket))
