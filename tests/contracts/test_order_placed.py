"""An event that has changed: what the release before said is understood by the present one."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from orders.events import OrderPlaced
from orders.models import Customer, Order
from outbox.consumers import subscribers
from outbox.contracts import contract_of
from outbox.models import Delivery, Message, Receipt, Rollup

pytestmark = pytest.mark.requirement("M19", "M42")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ORDER = UUID(int=(int(MOMENT.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | 42)
CUSTOMER = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
AS_IT_WAS_SENT = {
    "order_id": str(ORDER),
    "customer_id": str(CUSTOMER),
    "total": "25.80",
    "currency": "EUR",
    "lines": 2,
}


def test_a_version_that_did_not_tell_when_is_read_with_the_moment_in_the_orders_id():
    text = b'{"order_id":"%s","customer_id":"%s","total":"25.80","currency":"EUR","lines":2}'
    payload = text % (str(ORDER).encode(), str(CUSTOMER).encode())
    assert contract_of(OrderPlaced).decode(payload, 1) == OrderPlaced(
        order_id=ORDER,
        customer_id=CUSTOMER,
        total=Decimal("25.80"),
        currency="EUR",
        lines=2,
        placed_at=MOMENT,
    )


@pytest.mark.django_db(transaction=True)
def test_a_message_of_the_release_before_that_is_still_in_the_queue_is_handled_by_todays_consumers(drain):
    customer = Customer.objects.create(id=CUSTOMER, name="Quay & Sons")
    Order.objects.create(
        id=ORDER,
        customer=customer,
        currency="EUR",
        total=Decimal("25.80"),
        shipping_address={},
        payment_method="pm_card_visa",
        correlation_id=uuid4(),
        placed_at=MOMENT,
        updated_at=MOMENT,
    )
    message = Message.objects.create(
        id=uuid7(),
        name="orders.order_placed",
        version=1,
        kind="event",
        aggregate="order",
        aggregate_id=ORDER,
        payload=AS_IT_WAS_SENT,
        correlation_id=uuid4(),
    )
    for name in subscribers("orders.order_placed"):
        Delivery.objects.create(message_id=message.id, consumer=name)
    drain(until=lambda: not Delivery.objects.exists())
    handled = Receipt.objects.filter(message_id=message.id).values_list("consumer", "attempts")
    assert sorted(handled) == [(name, 1) for name in sorted(subscribers("orders.order_placed"))]
    counted = Rollup.objects.filter(consumer="orders").values_list("minute", "measure", "value")
    assert list(counted) == [(MOMENT.replace(second=0, microsecond=0), "placed", 1)]


@pytest.mark.django_db(transaction=True)
def test_an_order_is_counted_at_the_moment_at_which_it_was_placed(shop, drain):
    order = shop.placed()
    tally = ["orders.tally"]
    drain(until=lambda: not Delivery.objects.filter(consumer__in=tally).exists())
    placed_at = datetime.fromisoformat(order["placed_at"])
    (said,) = Message.objects.filter(name="orders.order_placed").values_list("version", "payload")
    assert said[0] == contract_of(OrderPlaced).version
    assert abs((datetime.fromisoformat(said[1]["placed_at"]) - placed_at).total_seconds()) < 0.001
    minute = placed_at.replace(second=0, microsecond=0)
    assert Rollup.objects.filter(consumer="orders", measure="placed", minute=minute).exists()
