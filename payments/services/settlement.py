"""The one place where the provider's view becomes ours.

Everything that may tell of a payment (answers to our calls, callbacks, look-ups) ends here, under the payment's lock.
Only facts are booked: an operation succeeds once per provider reference, amounts are sums over such operations, and
no observation undoes one. So an old observation that arrives late, or a second one, changes nothing.
"""

from uuid import UUID

from structlog import get_logger

from outbox.outcomes import Permanent, Transient
from outbox.publishing import publish, require_unit_of_work, send
from payments.commands import SynchronisePayment, VoidPayment
from payments.events import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentExpired,
    PaymentVoided,
)
from payments.gateways.base import Declined, IntentState, IntentStatus
from payments.models import Payment, PaymentOperation
from payments.services.polling import POLL_AFTER
from payments.states import AWAITING_AUTHORISATION, CALLED, CLEAR, TAKEN, OperationKind, OperationStatus, PaymentStatus

HELD = frozenset({IntentStatus.REQUIRES_CAPTURE, IntentStatus.SUCCEEDED})
CANCELLED_ELSEWHERE = Declined("canceled", "", "The payment was cancelled at the payment provider.")
EXPIRED_REASON = "The authorisation ended at the provider before it was captured."

log = get_logger("payments.settlement")


@require_unit_of_work
def settle(*, payment: Payment, seen: IntentState) -> None:
    """Bring the locked payment up to what the provider was seen to say about its intent.

    Raises Permanent when the intent is not this payment's: a person has to look.
    """
    _check_identity(payment, seen)
    if payment.provider_reference is None:
        payment.adopt(seen.reference)
    if payment.status == PaymentStatus.VOIDED:
        _settle_after_release(payment, seen)
    elif seen.captured:
        _book_authorisation(payment, seen)
        _book_capture(payment, seen)
    elif seen.status in HELD:
        _book_authorisation(payment, seen)
    elif seen.status is IntentStatus.REQUIRES_ACTION:
        _await_customer(payment, seen)
    elif seen.status is IntentStatus.FAILED and seen.declined:
        decline(payment=payment, declined=seen.declined)
    elif seen.status is IntentStatus.CANCELED:
        _book_release(payment, seen)


@require_unit_of_work
def decline(*, payment: Payment, declined: Declined) -> None:
    """Book that the authorisation was refused, unless it is settled already."""
    operation = payment.live(OperationKind.AUTHORISE)
    if operation is None or payment.status not in AWAITING_AUTHORISATION:
        return
    operation.fail(declined.decline_code or declined.code, declined.reason)
    payment.decline(declined.decline_code or declined.code, declined.reason)
    log.info("payment_declined", payment=str(payment.id), code=payment.decline_code)
    if not payment.is_void_requested:
        tell_declined(payment)


@require_unit_of_work
def capture_failed(*, payment: Payment, code: str, reason: str) -> None:
    """Book that the open capture was refused, and tell."""
    operation = payment.live(OperationKind.CAPTURE)
    if operation is None:
        return
    operation.fail(code, reason)
    if payment.is_void_requested:
        return
    publish(PaymentCaptureFailed(payment_id=payment.id, order_id=payment.order_id, code=code, reason=reason))


@require_unit_of_work
def lose_track(*, operation_id: UUID, error: str) -> None:
    """Note that a call ended without an answer; whoever goes on looks at the provider before acting."""
    operation = PaymentOperation.objects.get(id=operation_id)
    Payment.objects.lock(operation.payment_id)
    operation.refresh_from_db()
    operation.lose_track(error[:1000])


def require_settled(payment: Payment, kind: OperationKind) -> None:
    """Raise Transient, so that the provider is asked again, when its answer left the operation's outcome open."""
    operation = payment.live(kind)
    if operation is not None and operation.status in CALLED:
        raise Transient(f"The provider's answer leaves open what became of the {kind.value}", unknown=True)


def tell_authorised(payment: Payment) -> None:
    """Say that the amount is held."""
    publish(
        PaymentAuthorised(
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.exact(payment.authorised_amount),
            currency=payment.currency,
        )
    )


def tell_declined(payment: Payment) -> None:
    """Say that the amount will not be held."""
    publish(
        PaymentDeclined(
            payment_id=payment.id,
            order_id=payment.order_id,
            code=payment.decline_code,
            reason=payment.decline_reason,
        )
    )


def tell_captured(payment: Payment) -> None:
    """Say that the amount was taken."""
    publish(
        PaymentCaptured(
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=payment.exact(payment.captured_amount),
            currency=payment.currency,
        )
    )


def tell_action_required(payment: Payment) -> None:
    """Say that the customer has to act."""
    publish(PaymentActionRequired(payment_id=payment.id, order_id=payment.order_id))


def tell_voided(payment: Payment) -> None:
    """Answer VoidPayment: nothing is held or kept."""
    publish(PaymentVoided(payment_id=payment.id, order_id=payment.order_id, reason=payment.void_reason))


def _check_identity(payment: Payment, seen: IntentState) -> None:
    if payment.provider_reference not in (None, seen.reference):
        raise Permanent(f"The intent of payment {payment.id} is {payment.provider_reference}, not {seen.reference}")
    if seen.payment_id not in (None, payment.id):
        raise Permanent(f"The provider keeps {seen.reference} for payment {seen.payment_id}, not for {payment.id}")
    if seen.amount != payment.total:
        raise Permanent(f"{seen.reference} is over {seen.amount}, payment {payment.id} over {payment.total}")


def _book_authorisation(payment: Payment, seen: IntentState) -> None:
    if _is_booked(payment, OperationKind.AUTHORISE, seen.reference):
        return
    operation = payment.live(OperationKind.AUTHORISE) or PaymentOperation.request(payment, OperationKind.AUTHORISE)
    operation.succeed(seen.reference, payment.amount)
    payment.add_up()
    if payment.status in AWAITING_AUTHORISATION:
        payment.advance(PaymentStatus.AUTHORISED)
        if not payment.is_void_requested:
            tell_authorised(payment)


def _book_capture(payment: Payment, seen: IntentState) -> None:
    if _is_booked(payment, OperationKind.CAPTURE, seen.reference):
        return
    operation = payment.live(OperationKind.CAPTURE) or PaymentOperation.request(payment, OperationKind.CAPTURE)
    operation.succeed(seen.reference, seen.captured)
    payment.add_up()
    whole = payment.captured_amount == payment.authorised_amount
    payment.advance(PaymentStatus.CAPTURED if whole else PaymentStatus.PARTIALLY_CAPTURED)
    if not payment.is_void_requested:
        tell_captured(payment)
    elif (void := payment.live(OperationKind.VOID)) is not None:
        void.fail("captured", "The amount had been taken already; it is refunded.")


def _book_release(payment: Payment, seen: IntentState) -> None:
    """Book that the provider released the amount: because we asked, or because the authorisation ran out."""
    if payment.status in CLEAR | TAKEN:
        return
    if payment.status == PaymentStatus.AUTHORISING and not payment.is_void_requested:
        decline(payment=payment, declined=CANCELLED_ELSEWHERE)
        return
    authorise = payment.live(OperationKind.AUTHORISE)
    if authorise is not None:
        authorise.fail("canceled", "The intent was cancelled before the amount was held.")
    capture_failed(payment=payment, code="authorisation_expired", reason=EXPIRED_REASON)
    release(payment, seen.reference)


def release(payment: Payment, reference: str | None) -> None:
    """Book the open void as done, step to voided and answer; to expired, and tell, when nobody asked for it."""
    void = payment.live(OperationKind.VOID)
    if void is not None:
        void.succeed(reference, payment.authorised_amount)
    if payment.is_void_requested:
        payment.advance(PaymentStatus.VOIDED)
        tell_voided(payment)
    else:
        payment.advance(PaymentStatus.EXPIRED)
        publish(
            PaymentExpired(
                payment_id=payment.id, order_id=payment.order_id, code="authorisation_expired", reason=EXPIRED_REASON
            )
        )


def _settle_after_release(payment: Payment, seen: IntentState) -> None:
    """Undo what the provider did after the release; an observation of held money may only be an old one."""
    if seen.captured and not _is_booked(payment, OperationKind.CAPTURE, seen.reference):
        _book_authorisation(payment, seen)
        _book_capture(payment, seen)
    elif seen.status is IntentStatus.CANCELED:
        _close_repeated_void(payment, seen.reference)
        return
    elif seen.status not in HELD:
        return
    log.warning("payment_moved_after_release", payment=str(payment.id), provider_status=seen.status.value)
    send(VoidPayment(payment_id=payment.id, order_id=payment.order_id, reason=payment.void_reason))


def _close_repeated_void(payment: Payment, reference: str) -> None:
    void = payment.live(OperationKind.VOID)
    if void is None:
        return
    if _is_booked(payment, OperationKind.VOID, reference):
        void.fail("already_released", "The provider had released the amount already.")
    else:
        void.succeed(reference, payment.authorised_amount)


def _await_customer(payment: Payment, seen: IntentState) -> None:
    operation = payment.live(OperationKind.AUTHORISE)
    if operation is None or operation.status == OperationStatus.PENDING or payment.status != PaymentStatus.AUTHORISING:
        return
    operation.wait(seen.reference)
    payment.advance(PaymentStatus.REQUIRES_ACTION)
    if payment.is_void_requested:
        return
    tell_action_required(payment)
    send(SynchronisePayment(payment_id=payment.id, order_id=payment.order_id, poll=True), delay=POLL_AFTER)


def _is_booked(payment: Payment, kind: OperationKind, reference: str) -> bool:
    return payment.operations.filter(kind=kind, provider_reference=reference, status=OperationStatus.SUCCEEDED).exists()
