"""Making sure that no money is held or taken.

The tombstone comes first and is committed even when there is something to wait for: no confirmation and no capture
starts after it. What is under way is then waited for, what is held is cancelled by its id, what was taken is refunded.
"""

from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

from outbox.outcomes import NotDone, snooze
from outbox.publishing import require_unit_of_work, send
from payments.commands import RefundPayment, VoidPayment
from payments.gateways.base import IntentState
from payments.models import Payment, PaymentOperation
from payments.services.plans import IntentPlan
from payments.services.polling import CALL_LIMIT, RECHECK_AFTER
from payments.services.settlement import release, require_settled, settle, tell_voided
from payments.states import CLEAR, TAKEN, OperationKind, OperationStatus, PaymentStatus


@require_unit_of_work
def begin_void(*, payment_id: UUID, reason: str) -> IntentPlan | NotDone | None:
    """Set the tombstone, and decide whether an intent is to be cancelled; not while a call is under way."""
    payment = Payment.objects.lock(payment_id)
    is_new = payment.ask_to_void(reason)
    if payment.status in CLEAR:
        if payment.live(OperationKind.VOID) is None:
            tell_voided(payment)
        return _look_again(payment)
    if payment.status in TAKEN:
        _refund_what_was_taken(payment)
        return None
    if _is_call_under_way(payment):
        return _wait(payment, is_new)
    if payment.provider_reference is None:
        _release_what_never_was(payment)
        return None
    return _plan(payment, payment.provider_reference)


@require_unit_of_work
def record_void(*, payment_id: UUID, seen: IntentState) -> None:
    """Book what came of the cancellation; when the amount had been taken before, have it refunded."""
    payment = Payment.objects.lock(payment_id)
    settle(payment=payment, seen=seen)
    if payment.status in TAKEN:
        _refund_what_was_taken(payment)
    require_settled(payment, OperationKind.VOID)


def _look_again(payment: Payment) -> IntentPlan | None:
    """Plan a look at the intent of a payment that is voided already: it may have come to life late."""
    if payment.status != PaymentStatus.VOIDED or payment.provider_reference is None:
        return None
    return _plan(payment, payment.provider_reference)


def _plan(payment: Payment, reference: str) -> IntentPlan:
    operation = payment.live(OperationKind.VOID) or PaymentOperation.request(
        payment, OperationKind.VOID, reason=payment.void_reason
    )
    look_first = operation.begin() or payment.status == PaymentStatus.VOIDED or _is_anything_unknown(payment)
    return IntentPlan(operation.id, reference, operation.idempotency_key, look_first)


def _is_call_under_way(payment: Payment) -> bool:
    """Tell whether a confirmation or capture may still be answered. One that is long overdue never will be."""
    for operation in payment.operations.filter(
        kind__in=[OperationKind.AUTHORISE, OperationKind.CAPTURE], status=OperationStatus.IN_FLIGHT
    ):
        if operation.was_called_within(CALL_LIMIT):
            return True
        operation.lose_track("No answer came.")
    return False


def _is_anything_unknown(payment: Payment) -> bool:
    return payment.operations.filter(status=OperationStatus.UNKNOWN).exists()


def _wait(payment: Payment, is_new: bool) -> NotDone | None:
    """Come back shortly. A snooze rolls back, so the first time the tombstone is kept by asking anew."""
    if not is_new:
        return snooze(RECHECK_AFTER, "A call to the provider is under way")
    send(VoidPayment(payment_id=payment.id, order_id=payment.order_id, reason=payment.void_reason), delay=RECHECK_AFTER)
    return None


def _release_what_never_was(payment: Payment) -> None:
    """Nothing that moves money was ever sent, so there is nothing to ask the provider for."""
    authorise = payment.live(OperationKind.AUTHORISE)
    if authorise is not None:
        authorise.fail("voided", "The payment was voided before the amount was held.")
    PaymentOperation.request(payment, OperationKind.VOID, reason=payment.void_reason)
    release(payment, None)


def _refund_what_was_taken(payment: Payment) -> None:
    """Ask for a refund of all that is left. The answer to the void follows when the refund is booked."""
    amount = payment.refundable()
    if amount <= Decimal(0):
        return
    tries = payment.operations.filter(kind=OperationKind.REFUND).count()
    send(
        RefundPayment(
            refund_id=uuid5(NAMESPACE_URL, f"{payment.id}:void:{tries}"),
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.exact(amount),
            currency=payment.currency,
            reason=payment.void_reason,
        )
    )
