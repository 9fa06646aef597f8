"""One rule, whoever asks it: the request, the handler of a message, and a statement that asks nobody."""

from uuid import UUID

import pytest
from django.db import DatabaseError

from orders import lifecycle
from orders.models import Order
from outbox.errors import IllegalTransition
from outbox.models import Message
from outbox.publishing import unit_of_work

pytestmark = [pytest.mark.requirement("M22"), pytest.mark.django_db(transaction=True)]


def test_a_rejected_order_is_cancelled_by_nobody(shop):
    order = shop.placed()
    order_id = UUID(order["id"][4:])
    with unit_of_work():
        lifecycle.reject_order(order_id=order_id, code="payment_declined", reason="The card was declined.")
    said = Message.objects.count()

    refused = shop.post(f"orders/{order['id']}/cancellation", {"reason": "Changed my mind."})
    assert refused.status_code == 409
    with pytest.raises(IllegalTransition), unit_of_work():
        lifecycle.begin_cancelling(order_id=order_id, code="cancelled", reason="The carrier refuses.")
    with pytest.raises(DatabaseError, match="rejected"):
        Order.objects.filter(id=order_id).update(status="cancelling")

    assert Order.objects.get(id=order_id).status == "rejected"
    assert Message.objects.count() == said
