"""Noting that a payment is meant to be made, at the moment the order is placed."""

from decimal import Decimal
from uuid import UUID

from outbox.publishing import require_unit_of_work
from payments.models import Payment
from payments.money import money


@require_unit_of_work
def intend_payment(*, payment_id: UUID, order_id: UUID, amount: Decimal, currency: str, payment_method: str) -> None:
    """Insert a payment that nothing was asked for yet; one statement."""
    Payment.intend(
        payment_id=payment_id, order_id=order_id, total=money(amount, currency), payment_method=payment_method
    )
