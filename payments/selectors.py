"""Reads, shaped as frozen values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from payments.errors import PaymentNotFound
from payments.models import Payment, PaymentOperation


@dataclass(frozen=True, slots=True)
class OperationView:
    """One thing asked of the provider."""

    id: UUID
    kind: str
    status: str
    amount: Decimal
    settled_amount: Decimal | None
    provider_reference: str | None
    error_code: str
    error: str
    requested_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as other apps may see it. Amounts are in major units with the currency's minor digits."""

    id: UUID
    order_id: UUID
    status: str
    amount: Decimal
    authorised_amount: Decimal
    captured_amount: Decimal
    refunded_amount: Decimal
    currency: str
    payment_method: str
    decline_code: str
    decline_reason: str
    provider_reference: str | None
    created_at: datetime
    operations: tuple[OperationView, ...]
    """In the order in which they were requested."""


def payments_of(order_id: UUID) -> list[PaymentView]:
    """Return the order's payments, oldest first."""
    rows = Payment.objects.filter(order_id=order_id).order_by("id").prefetch_related("operations")
    return [_view(row) for row in rows]


def payment(payment_id: UUID) -> PaymentView:
    """Return one payment. Raises PaymentNotFound."""
    row = Payment.objects.filter(id=payment_id).prefetch_related("operations").first()
    if row is None:
        raise PaymentNotFound(f"No payment has the id {payment_id}")
    return _view(row)


def _view(row: Payment) -> PaymentView:
    return PaymentView(
        id=row.id,
        order_id=row.order_id,
        status=row.status,
        amount=row.exact(row.amount),
        authorised_amount=row.exact(row.authorised_amount),
        captured_amount=row.exact(row.captured_amount),
        refunded_amount=row.exact(row.refunded_amount),
        currency=row.currency,
        payment_method=row.payment_method,
        decline_code=row.decline_code,
        decline_reason=row.decline_reason,
        provider_reference=row.provider_reference,
        created_at=row.created_at,
        operations=tuple(_operation_view(row, operation) for operation in row.operations.all()),
    )


def _operation_view(row: Payment, operation: PaymentOperation) -> OperationView:
    settled = operation.settled_amount
    return OperationView(
        id=operation.id,
        kind=operation.kind,
        status=operation.status,
        amount=row.exact(operation.amount),
        settled_amount=None if settled is None else row.exact(settled),
        provider_reference=operation.provider_reference,
        error_code=operation.error_code,
        error=operation.error,
        requested_at=operation.requested_at,
        settled_at=operation.settled_at,
    )
