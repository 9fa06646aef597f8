"""Amounts with the digits that their currency has."""

from decimal import Decimal

from moneyed import Money, get_currency


def exact(amount: Decimal, currency: str) -> Decimal:
    """Return `amount` with exactly the currency's minor digits. Raises decimal.InvalidOperation when it has none."""
    digits = len(str(get_currency(currency).sub_unit)) - 1
    return amount.quantize(Decimal(1).scaleb(-digits))


def money(amount: Decimal, currency: str) -> Money:
    """Return the amount as a value that knows its currency."""
    return Money(exact(amount, currency), currency)
