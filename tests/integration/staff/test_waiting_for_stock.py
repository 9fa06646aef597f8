"""Orders that wait for stock, as staff see them: in words, and as nothing that needs anybody's attention."""

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from config.pulse import take_pulse
from fulfillment import facade as fulfillment
from orders.models import Order
from orders.process import follow
from outbox.consumers import Incoming
from outbox.models import Worker
from outbox.publishing import unit_of_work
from payments.events import PaymentAuthorised
from tests.shop import TEA, add_product

pytestmark = pytest.mark.requirement("M45")
POT = "POT-CAST-500"


@pytest.fixture
def waiting(shop) -> Order:
    """An order of three pots, of which one is there; its payment is authorised."""
    add_product(POT, "45.00", 1, backorder=True)
    order = Order.objects.get(id=UUID(shop.placed((POT, 3))["id"][4:]))
    paid = PaymentAuthorised(payment_id=order.payment_id, order_id=order.id, amount=order.total, currency="EUR")
    heard = Incoming(order.id, "payments.payment_authorised", 1, order.id, None, "", order.placed_at, 1)
    with unit_of_work():
        follow(event=paid, message=heard)
    order.refresh_from_db()
    return order


def test_the_list_says_what_an_order_waits_for(viewer, waiting):
    page = viewer.get("/staff/orders/").content.decode()
    assert "Waits for stock" in page
    assert "Waiting for stock of Pot-Cast-500." in page


def test_the_list_can_show_those_that_wait_alone(viewer, shop, waiting):
    shop.placed((TEA, 1))
    page = viewer.get("/staff/orders/", {"show": "backordered"}).content.decode()
    assert page.count("data-row") == 1
    assert waiting.public_id in page


def test_the_page_says_that_it_goes_on_by_itself_and_until_when_it_is_waited_for(operator, waiting):
    page = operator.get(f"/staff/orders/{waiting.public_id}/").content.decode()
    for words in ["The order waits for stock.", "It goes on by itself when enough comes in", "Backordered", "UTC"]:
        assert words in page, words
    assert "What is set aside for it goes to the next who waits, or back into stock." in page


def test_waiting_for_stock_is_nothing_that_needs_attention(viewer, waiting):
    Worker.objects.create(id=uuid7(), host="vm", pid=42, lock=1)
    pulse = take_pulse()
    assert (pulse.attention, pulse.in_progress) == (0, 1)
    assert waiting.public_id not in viewer.get("/staff/orders/", {"show": "attention"}).content.decode()


def test_the_page_tells_when_the_stock_came(viewer, waiting):
    with unit_of_work():
        fulfillment.set_stock(sku=POT, warehouse="LIS", on_hand=3, reason="came in")
    page = viewer.get(f"/staff/orders/{waiting.public_id}/").content.decode()
    assert "Stock came in: looked whether the order is complete" in page
