"""What is paid back for goods that come back."""

from collections.abc import Iterable
from decimal import Decimal

from fulfillment.facade import ReturnView
from orders.models import OrderLine
from orders.pricing import in_minor_digits, refund_of


def refund_for(returned: ReturnView, lines: Iterable[OrderLine], currency: str) -> Decimal | None:
    """Return what is paid back for a return, in the currency's digits; None before the inspection.

    `lines` are the order's.
    """
    if all(line.sellable is None for line in returned.lines):
        return None
    accepted = {line.line_id: line.accepted for line in returned.lines}
    return in_minor_digits(refund_of(lines, accepted), currency)
