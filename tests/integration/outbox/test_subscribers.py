"""Publish-subscribe: each consumer of an event has its own delivery, retries and dead letters."""

from uuid import uuid4

import pytest

from outbox.models import Delivery, Receipt
from outbox.publishing import publish, unit_of_work
from payments.events import PaymentAuthorised

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M21")]


def test_one_consumer_that_fails_does_not_hold_up_the_other(drain):
    """The order does not exist: following it fails, and telling its customer; counting the money does not."""
    with unit_of_work():
        message_id = publish(PaymentAuthorised(payment_id=uuid4(), order_id=uuid4(), amount="12.90", currency="EUR"))
    assert set(Delivery.objects.values_list("message_id", "consumer")) == {
        (message_id, "orders.follow"),
        (message_id, "orders.public_events"),
        (message_id, "orders.tally"),
    }
    drain(until=lambda: Receipt.objects.filter(consumer="orders.tally").exists())
    drain(until=lambda: Delivery.objects.filter(consumer="orders.follow", attempts__gte=1).exists())
    assert Receipt.objects.get().consumer == "orders.tally"
    assert set(Delivery.objects.values_list("consumer", flat=True)) == {"orders.follow", "orders.public_events"}
