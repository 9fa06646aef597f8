"""Amounts with the digits that their currency has."""

from decimal import Decimal

from moneyed import Money, get_currency


def exact(amount: Decimal, currency: str) -> Decimal:
    """Return `amount` with exactly the currency's minor digits. Raises ValueError when that would round it."""
    digits = len(str(get_currency(currency).sub_unit)) - 1
    shown = amount.quantize(Decimal(1).scaleb(-digits))
    if shown != amount:
        raise ValueError(f"{amount} {currency} has more than the {digits} digits that {currency} has")
    return shown


def money(amount: Decimal, currency: str) -> Money:
    """Return the amount as a value that knows its currency."""
    return Money(exact(amount, currency), currency)
