"""Holding the amount, in two steps.

The intent is registered unconfirmed and its id stored first, because repeating that moves no money. Confirming is then
done by id, so that after a crash or a missing answer the provider can be asked what became of it.
"""

from uuid import UUID

from outbox.publishing import require_unit_of_work, send
from payments.commands import ConfirmAuthorisation, VoidPayment
from payments.gateways.base import Declined, IntentState
from payments.models import Payment, PaymentOperation
from payments.services.plans import CreatePlan, IntentPlan
from payments.services.polling import KEY_LIFE
from payments.services.settlement import (
    decline,
    require_settled,
    settle,
    tell_action_required,
    tell_authorised,
    tell_captured,
    tell_declined,
)
from payments.states import TAKEN, OperationKind, OperationStatus, PaymentStatus


@require_unit_of_work
def begin_authorisation(*, payment_id: UUID) -> CreatePlan | None:
    """Decide whether an intent is to be registered. A repeated request is answered with how it ended before."""
    payment = Payment.objects.lock(payment_id)
    if payment.is_void_requested:
        return None
    if payment.status == PaymentStatus.CREATED:
        PaymentOperation.request(payment, OperationKind.AUTHORISE)
        payment.advance(PaymentStatus.AUTHORISING)
    operation = payment.live(OperationKind.AUTHORISE)
    if operation is None or operation.status != OperationStatus.REQUESTED:
        _answer_again(payment)
        return None
    if payment.provider_reference is not None:
        return None
    return CreatePlan(
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=payment.total,
        payment_method=payment.payment_method,
        key=f"{payment.id}:create",
        look_since=payment.created_at if operation.is_older_than(KEY_LIFE) else None,
    )


@require_unit_of_work
def record_intent(*, payment_id: UUID, answer: IntentState | Declined) -> None:
    """Store the intent's id and go on to confirm it; when the payment was voided meanwhile, have it cancelled."""
    payment = Payment.objects.lock(payment_id)
    if isinstance(answer, Declined):
        decline(payment=payment, declined=answer)
        return
    settle(payment=payment, seen=answer)
    if payment.is_void_requested:
        send(VoidPayment(payment_id=payment.id, order_id=payment.order_id, reason=payment.void_reason))
    elif payment.status == PaymentStatus.AUTHORISING:
        send(ConfirmAuthorisation(payment_id=payment.id, order_id=payment.order_id))


@require_unit_of_work
def begin_confirmation(*, payment_id: UUID) -> IntentPlan | None:
    """Decide whether the intent is to be confirmed."""
    payment = Payment.objects.lock(payment_id)
    operation = payment.live(OperationKind.AUTHORISE)
    if operation is None or operation.status == OperationStatus.PENDING or payment.provider_reference is None:
        return None
    if payment.is_void_requested:
        operation.lose_track("The payment is being voided.")
        return None
    look_first = operation.begin()
    return IntentPlan(operation.id, payment.provider_reference, operation.idempotency_key, look_first)


@require_unit_of_work
def record_confirmation(*, payment_id: UUID, answer: IntentState | Declined) -> None:
    """Book what came of the confirmation."""
    payment = Payment.objects.lock(payment_id)
    if isinstance(answer, Declined):
        decline(payment=payment, declined=answer)
    else:
        settle(payment=payment, seen=answer)
    require_settled(payment, OperationKind.AUTHORISE)


def _answer_again(payment: Payment) -> None:
    if payment.status == PaymentStatus.AUTHORISED:
        tell_authorised(payment)
    elif payment.status == PaymentStatus.DECLINED:
        tell_declined(payment)
    elif payment.status == PaymentStatus.REQUIRES_ACTION:
        tell_action_required(payment)
    elif payment.status in TAKEN:
        tell_captured(payment)
