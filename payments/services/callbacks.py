"""Taking the provider's callbacks in: stored once, answered at once, acted on later from a fresh look-up."""

import re
from uuid import UUID

from outbox.context import scope
from outbox.publishing import conversation_of, require_unit_of_work, send
from payments.commands import SynchronisePayment
from payments.models import Payment, ProviderEvent


@require_unit_of_work
def accept_callback(*, event_id: str, type: str, reference: str, payment_tag: str) -> bool:
    """Store the event and have its payment looked up; tell whether it is the first of its id.

    `reference` is the intent it speaks of, `payment_tag` our own `pay_…` from its metadata. What the event says is not
    believed, only that something may have happened. An event about nothing we know is stored, for people to see.
    """
    payment = _payment_meant(reference, payment_tag)
    _, is_new = ProviderEvent.objects.get_or_create(
        event_id=event_id, defaults={"type": type, "reference": reference, "payment": payment}
    )
    if is_new and payment is not None:
        with scope(correlation_id=conversation_of(payment.id)):
            send(SynchronisePayment(payment_id=payment.id, order_id=payment.order_id, reference=reference or None))
    return is_new


def _payment_meant(reference: str, payment_tag: str) -> Payment | None:
    if reference:
        known = Payment.objects.filter(provider_reference=reference).first()
        if known is not None:
            return known
    tag = re.fullmatch("pay_([0-9a-f]{32})", payment_tag)
    return Payment.objects.filter(id=UUID(tag.group(1))).first() if tag else None
