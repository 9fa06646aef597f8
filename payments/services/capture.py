"""Taking what is held: once, the whole amount, since providers refuse a second capture."""

from uuid import UUID

from outbox.publishing import publish, require_unit_of_work
from payments.events import PaymentCaptureFailed
from payments.gateways.base import Declined, IntentState
from payments.models import Payment, PaymentOperation
from payments.services.plans import IntentPlan
from payments.services.settlement import capture_failed, require_settled, settle, tell_captured
from payments.states import TAKEN, OperationKind, PaymentStatus


@require_unit_of_work
def begin_capture(*, payment_id: UUID) -> IntentPlan | None:
    """Decide whether the amount is to be taken. Answers at once when it was taken before, or cannot be."""
    payment = Payment.objects.lock(payment_id)
    if payment.status in TAKEN:
        tell_captured(payment)
        return None
    if payment.is_void_requested or payment.status != PaymentStatus.AUTHORISED or payment.provider_reference is None:
        _refuse(payment)
        return None
    operation = payment.live(OperationKind.CAPTURE) or PaymentOperation.request(payment, OperationKind.CAPTURE)
    look_first = operation.begin()
    return IntentPlan(operation.id, payment.provider_reference, operation.idempotency_key, look_first)


@require_unit_of_work
def record_capture(*, payment_id: UUID, answer: IntentState | Declined) -> None:
    """Book what came of the capture."""
    payment = Payment.objects.lock(payment_id)
    if isinstance(answer, Declined):
        capture_failed(payment=payment, code=answer.decline_code or answer.code, reason=answer.reason)
    else:
        settle(payment=payment, seen=answer)
    require_settled(payment, OperationKind.CAPTURE)


def _refuse(payment: Payment) -> None:
    """Say that there is nothing to take. An open capture of a payment being voided is left to the void."""
    operation = payment.live(OperationKind.CAPTURE)
    if operation is not None:
        operation.lose_track("The payment is being voided.")
        return
    if payment.is_void_requested:
        code, reason = "payment_voided", "The payment is being voided, so nothing is captured any more."
    else:
        code, reason = "not_authorised", f"Nothing is held that could be captured: the payment is {payment.status}."
    publish(PaymentCaptureFailed(payment_id=payment.id, order_id=payment.order_id, code=code, reason=reason))
