"""Amounts of money on pages."""

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from moneyed import get_currency

register = template.Library()


@register.simple_tag
def money(amount: Decimal, currency: str) -> SafeString:
    """An amount with its currency and that currency's digits."""
    return format_html('<span class="nowrap">{} {}</span>', digits(amount, currency), currency)


def digits(amount: Decimal, currency: str) -> str:
    """The amount with the currency's minor digits and thousands apart."""
    minor = len(str(get_currency(currency).sub_unit)) - 1
    return f"{amount:,.{minor}f}"
