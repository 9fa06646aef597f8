"""What an order costs."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moneyed import Money

from orders.errors import TotalChanged
from orders.pricing import (
    CatalogueItem,
    PricedLine,
    check_expected_total,
    in_minor_digits,
    is_currency,
    minor_digits,
    order_total,
    plain,
    refund_of,
)

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD"])


def line(price: str, quantity: int, currency: str = "EUR") -> PricedLine:
    item = CatalogueItem("SKU", "Name", Money(Decimal(price), currency), Decimal("0.23"), 100, False)
    return PricedLine(item, quantity)


@st.composite
def baskets(draw):
    currency = draw(CURRENCIES)
    prices = st.integers(1, 9_999_999).map(lambda cents: Decimal(cents).scaleb(-minor_digits(currency)))
    lines = st.tuples(prices, st.integers(1, 10_000))
    return currency, draw(st.lists(lines, min_size=1, max_size=100))


@pytest.mark.requirement("M1")
def test_two_packets_of_tea_at_12_90_cost_25_80():
    assert order_total([line("12.90", 2)]) == Money("25.80", "EUR")


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3)])
def test_amounts_are_written_in_the_digits_of_their_currency(currency, digits):
    assert minor_digits(currency) == digits
    assert plain(Decimal("5"), currency) == "5" + ("." + "0" * digits if digits else "")


def test_a_currency_is_one_that_iso_knows():
    assert is_currency("EUR")
    assert not is_currency("ZZZ")


@given(baskets())
def test_the_total_is_the_exact_sum_of_price_times_quantity(basket):
    currency, lines = basket
    total = order_total(line(str(price), quantity, currency) for price, quantity in lines)
    assert total == Money(sum(price * quantity for price, quantity in lines), currency)


@given(baskets())
def test_no_total_has_more_digits_than_its_currency(basket):
    currency, lines = basket
    total = order_total(line(str(price), quantity, currency) for price, quantity in lines)
    assert total.amount == in_minor_digits(total.amount, currency)
    assert Decimal(plain(total.amount, currency)) == total.amount


@given(baskets(), st.randoms())
def test_the_total_does_not_depend_on_the_order_of_lines(basket, random):
    currency, lines = basket
    shuffled = random.sample(lines, len(lines))
    assert order_total(line(str(p), q, currency) for p, q in lines) == order_total(
        line(str(p), q, currency) for p, q in shuffled
    )


def test_an_order_without_lines_has_no_total():
    with pytest.raises(ValueError, match="no total"):
        order_total([])


def test_lines_of_different_currencies_are_not_added():
    with pytest.raises(TypeError):
        order_total([line("1.00", 1, "EUR"), line("1.00", 1, "USD")])


@pytest.mark.parametrize("expected", [None, Decimal("25.80"), Decimal("25.8")])
def test_the_expected_total_is_accepted_whatever_its_trailing_zeros(expected):
    check_expected_total(Money("25.80", "EUR"), expected)


@given(st.decimals("0.00", "99999.99", places=2).filter(lambda amount: amount != Decimal("25.80")))
def test_any_other_expected_total_is_refused_and_told_the_real_one(expected):
    with pytest.raises(TotalChanged) as refused:
        check_expected_total(Money("25.80", "EUR"), expected)
    assert (refused.value.expected, refused.value.actual) == (expected, Decimal("25.80"))


@dataclass(frozen=True)
class Bought:
    id: UUID
    unit_price: Decimal
    quantity: int


CENTS = st.integers(1, 100_000).map(lambda cents: Decimal(cents).scaleb(-2))
BOUGHT = st.lists(st.tuples(CENTS, st.integers(1, 20)), min_size=1, max_size=6)


@pytest.mark.requirement("M22")
@given(bought=BOUGHT, data=st.data())
def test_refunds_of_any_returns_never_exceed_the_total_and_all_of_them_are_the_total(bought, data):
    lines = [Bought(uuid4(), price, quantity) for price, quantity in bought]
    total = sum(line.unit_price * line.quantity for line in lines)
    left, paid_back = {line.id: line.quantity for line in lines}, Decimal(0)
    for _ in range(data.draw(st.integers(0, 4))):
        back = {key: data.draw(st.integers(0, pieces)) for key, pieces in left.items()}
        paid_back += refund_of(lines, back)
        left = {key: pieces - back[key] for key, pieces in left.items()}
        assert paid_back <= total
    assert in_minor_digits(paid_back, "EUR") == paid_back
    assert paid_back + refund_of(lines, left) == total
