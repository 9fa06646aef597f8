"""What other apps may call: few functions, frozen values, never rows."""

from decimal import Decimal
from uuid import UUID

from payments import selectors, services
from payments.selectors import OperationView, PaymentView

__all__ = ["OperationView", "PaymentView", "payment", "payments_of", "record_intent"]


def record_intent(*, payment_id: UUID, order_id: UUID, amount: Decimal, currency: str, payment_method: str) -> None:
    """Note that `amount` is to be taken for an order; one INSERT. Nothing is asked of the provider yet.

    Raises NoUnitOfWork outside a unit of work; the database refuses a second live payment of an order.
    """
    services.intend_payment(
        payment_id=payment_id, order_id=order_id, amount=amount, currency=currency, payment_method=payment_method
    )


def payments_of(order_id: UUID) -> list[PaymentView]:
    """Return the order's payments with their operations, oldest first."""
    return selectors.payments_of(order_id)


def payment(payment_id: UUID) -> PaymentView:
    """Return one payment with its operations. Raises PaymentNotFound."""
    return selectors.payment(payment_id)
