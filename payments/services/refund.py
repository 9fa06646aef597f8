"""Giving back what was taken. A refund reserves its amount under the payment's lock before the provider is called."""

from decimal import Decimal
from uuid import UUID

from outbox.outcomes import NotDone, permanent
from outbox.publishing import publish, require_unit_of_work, send
from payments.commands import SynchronisePayment
from payments.events import PaymentRefunded, PaymentRefundFailed, RefundGranted
from payments.gateways.base import RefundState, RefundStatus
from payments.models import Payment, PaymentOperation
from payments.money import money
from payments.services.plans import RefundPlan
from payments.services.polling import KEY_LIFE, POLL_AFTER
from payments.services.settlement import tell_voided
from payments.states import CALLED, OperationKind, OperationStatus, PaymentStatus


@require_unit_of_work
def grant_refund(*, refund_id: UUID, payment_id: UUID, amount: Decimal, currency: str, reason: str) -> NotDone | None:
    """Reserve the amount of a refund that is to be made later. A repeated request is answered again.

    More than is left, or another currency, is for a person to look at.
    """
    payment = Payment.objects.lock(payment_id)
    operation = _reserved(payment, refund_id, amount, currency, reason)
    if isinstance(operation, NotDone):
        return operation
    publish(
        RefundGranted(
            refund_id=operation.id,
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.exact(operation.amount),
            currency=payment.currency,
        )
    )
    return None


@require_unit_of_work
def begin_refund(
    *, refund_id: UUID, payment_id: UUID, amount: Decimal, currency: str, reason: str
) -> RefundPlan | NotDone | None:
    """Reserve the amount and plan the call. A repeated request is answered with how it ended before.

    More than is left, or another currency, is for a person to look at.
    """
    payment = Payment.objects.lock(payment_id)
    operation = _reserved(payment, refund_id, amount, currency, reason)
    if isinstance(operation, NotDone):
        return operation
    if operation.status not in (OperationStatus.REQUESTED, *CALLED) or payment.provider_reference is None:
        _answer_again(payment, operation)
        return None
    look_first = operation.begin()
    return RefundPlan(
        refund_id=operation.id,
        reference=payment.provider_reference,
        amount=money(operation.amount, payment.currency),
        key=operation.idempotency_key,
        look_first=look_first,
        may_send=not operation.is_older_than(KEY_LIFE),
    )


@require_unit_of_work
def record_refund(*, payment_id: UUID, refund_id: UUID, seen: RefundState) -> None:
    """Book what the provider says about a refund of ours; like `settle`, once, whoever tells it."""
    payment = Payment.objects.lock(payment_id)
    operation = payment.operations.filter(id=refund_id, kind=OperationKind.REFUND).first()
    if operation is None or operation.status in (OperationStatus.SUCCEEDED, OperationStatus.FAILED):
        return
    if seen.status is RefundStatus.SUCCEEDED:
        _book(payment, operation, seen)
    elif seen.status is RefundStatus.FAILED:
        operation.fail("refund_failed", seen.failure or "The provider refused the refund.")
        _tell_failed(payment, operation)
    elif operation.status != OperationStatus.PENDING:
        operation.wait(seen.reference)
        send(SynchronisePayment(payment_id=payment.id, order_id=payment.order_id, poll=True), delay=POLL_AFTER)


def _reserved(
    payment: Payment, refund_id: UUID, amount: Decimal, currency: str, reason: str
) -> PaymentOperation | NotDone:
    """Return the refund, made now unless it is there; or why it cannot be made."""
    found = payment.operations.filter(id=refund_id).first()
    if found is not None:
        return found
    return _refusal(payment, amount, currency) or PaymentOperation.request_refund(payment, refund_id, amount, reason)


def _refusal(payment: Payment, amount: Decimal, currency: str) -> NotDone | None:
    if currency != payment.currency:
        return permanent(f"Payment {payment.id} is in {payment.currency}; it cannot be refunded in {currency}")
    left = payment.exact(payment.refundable())
    if not 0 < amount <= left:
        return permanent(f"{amount} {currency} cannot be refunded: {left} {currency} of payment {payment.id} are left")
    return None


def _book(payment: Payment, operation: PaymentOperation, seen: RefundState) -> None:
    operation.succeed(seen.reference, seen.amount.amount)
    payment.add_up()
    if payment.refunded_amount == payment.captured_amount:
        payment.advance(PaymentStatus.REFUNDED)
    elif payment.status != PaymentStatus.PARTIALLY_REFUNDED:
        payment.advance(PaymentStatus.PARTIALLY_REFUNDED)
    _tell_refunded(payment, operation)
    if payment.is_void_requested and payment.status == PaymentStatus.REFUNDED:
        tell_voided(payment)


def _answer_again(payment: Payment, operation: PaymentOperation) -> None:
    if operation.status == OperationStatus.SUCCEEDED:
        _tell_refunded(payment, operation)
    elif operation.status == OperationStatus.FAILED:
        _tell_failed(payment, operation)


def _tell_refunded(payment: Payment, operation: PaymentOperation) -> None:
    publish(
        PaymentRefunded(
            refund_id=operation.id,
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.exact(operation.settled_amount or Decimal(0)),
            currency=payment.currency,
        )
    )


def _tell_failed(payment: Payment, operation: PaymentOperation) -> None:
    publish(
        PaymentRefundFailed(
            refund_id=operation.id,
            payment_id=payment.id,
            order_id=payment.order_id,
            code=operation.error_code,
            reason=operation.error,
        )
    )
