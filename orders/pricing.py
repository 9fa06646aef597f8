"""What an order costs. Pure: catalogue prices in, totals out, in the currency's own digits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from moneyed import CurrencyDoesNotExist, Money, get_currency

from orders.errors import TotalChanged


@lru_cache(maxsize=256)
def minor_digits(currency: str) -> int:
    """Return how many digits a currency's amounts have after the point. Raises CurrencyDoesNotExist."""
    return len(str(get_currency(currency).sub_unit)) - 1


@lru_cache(maxsize=256)
def is_currency(code: str) -> bool:
    """Tell whether `code` names a currency."""
    try:
        minor_digits(code)
    except CurrencyDoesNotExist:
        return False
    return True


def in_minor_digits(amount: Decimal, currency: str) -> Decimal:
    """Return the amount with exactly the currency's digits after the point."""
    return amount.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_UP)


def plain(amount: Decimal, currency: str) -> str:
    """Return the amount as the doors write it, such as `25.80`."""
    return f"{in_minor_digits(amount, currency):f}"


@dataclass(frozen=True)
class CatalogueItem:
    """A product as it is priced now."""

    sku: str
    name: str
    unit_price: Money
    """For one piece, tax included."""
    tax_rate: Decimal
    weight_grams: int
    backorder: bool


@dataclass(frozen=True)
class PricedLine:
    """A product in a quantity, at the price of this moment."""

    item: CatalogueItem
    quantity: int

    @property
    def unit_price(self) -> Money:
        """The price of one piece in the currency's digits."""
        price = self.item.unit_price
        return Money(in_minor_digits(price.amount, price.currency.code), price.currency)

    @property
    def total(self) -> Money:
        """The price of the whole line."""
        return self.unit_price * self.quantity


def order_total(lines: Iterable[PricedLine]) -> Money:
    """Return the sum of the lines. Raises TypeError when they differ in currency, ValueError when there is none."""
    totals = [line.total for line in lines]
    if not totals:
        raise ValueError("An order without lines has no total.")
    return sum(totals[1:], totals[0])


class Priced(Protocol):
    """A line of an order with what one piece of it cost."""

    id: UUID
    unit_price: Decimal


def refund_of(lines: Iterable[Priced], accepted: Mapping[UUID, int]) -> Decimal:
    """Return what is paid back for the pieces that were taken back, by line: the price they were bought at.

    A line's total is its price times its pieces, so the refunds of an order add up to its total and never above.
    """
    return sum((line.unit_price * accepted.get(line.id, 0) for line in lines), Decimal(0))


def check_expected_total(total: Money, expected: Decimal | None) -> None:
    """Raise TotalChanged when the customer expected another total; None expects nothing."""
    currency = total.currency.code
    if expected is not None and expected != total.amount:
        raise TotalChanged(
            expected=in_minor_digits(expected, currency),
            actual=in_minor_digits(total.amount, currency),
            currency=currency,
        )
