"""Amounts have the digits of their currency, and are never rounded on the way."""

from decimal import Decimal

import pytest

from payments.money import exact


@pytest.mark.parametrize(
    ("stored", "currency", "shown"),
    [("25.800", "EUR", "25.80"), ("500.000", "JPY", "500"), ("1.250", "KWD", "1.250"), ("0", "USD", "0.00")],
)
def test_an_amount_is_shown_with_the_digits_of_its_currency(stored, currency, shown):
    assert str(exact(Decimal(stored), currency)) == shown


@pytest.mark.parametrize(("amount", "currency"), [("25.805", "EUR"), ("0.5", "JPY"), ("1.0001", "KWD")])
def test_an_amount_is_never_rounded(amount, currency):
    with pytest.raises(ValueError, match="more than"):
        exact(Decimal(amount), currency)
