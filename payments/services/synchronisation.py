"""Asking the provider how things stand: after a callback, and while it waits for somebody else."""

from collections.abc import Mapping
from uuid import UUID

from outbox.publishing import require_unit_of_work, send
from payments.commands import SynchronisePayment
from payments.gateways.base import IntentState, RefundState
from payments.models import Payment
from payments.services.plans import SynchronisePlan
from payments.services.polling import POLL_AFTER
from payments.services.refund import record_refund
from payments.services.settlement import settle
from payments.states import LIVE, OperationKind, OperationStatus


@require_unit_of_work
def begin_synchronisation(*, payment_id: UUID, reference: str | None) -> SynchronisePlan | None:
    """Plan the look-up. `reference` is what a callback named, for a payment whose own is not stored yet."""
    payment = Payment.objects.lock(payment_id)
    intent = payment.provider_reference or reference
    if intent is None:
        return None
    refunds = payment.operations.filter(kind=OperationKind.REFUND, status__in=LIVE).values_list("id", flat=True)
    return SynchronisePlan(intent, tuple(refunds))


@require_unit_of_work
def record_synchronisation(
    *, payment_id: UUID, intent: IntentState, refunds: Mapping[UUID, RefundState], poll: bool
) -> None:
    """Book what was seen; with `poll`, look again later while the provider still waits for somebody."""
    payment = Payment.objects.lock(payment_id)
    settle(payment=payment, seen=intent)
    for refund_id, refund in refunds.items():
        record_refund(payment_id=payment_id, refund_id=refund_id, seen=refund)
    if poll and payment.operations.filter(status=OperationStatus.PENDING).exists():
        send(SynchronisePayment(payment_id=payment.id, order_id=payment.order_id, poll=True), delay=POLL_AFTER)
