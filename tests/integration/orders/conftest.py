"""The shop, and the world around it."""

import pytest

from fulfillment import facade as fulfillment
from outbox.publishing import unit_of_work
from tests.integration.fulfillment.goods import FakeCarrier
from tests.integration.orders.world import World
from tests.integration.payments.provider import Provider
from tests.shop import CUP, busy_shop, shop, stranger

__all__ = ["busy_shop", "shop", "stranger"]


@pytest.fixture
def world(busy_shop, monkeypatch):
    """Everybody who acts on an order, with tea in Lisbon and cups in Berlin."""
    provider, carrier = Provider(), FakeCarrier()
    monkeypatch.setattr("payments.handlers.payment_gateway", lambda: provider)
    monkeypatch.setattr("fulfillment.handlers.configured_carrier", lambda: carrier)
    with unit_of_work():
        fulfillment.define_warehouse(code="BER", name="Berlin", country="DE")
        fulfillment.set_stock(sku=CUP, warehouse="LIS", on_hand=0, reason="Test")
        fulfillment.set_stock(sku=CUP, warehouse="BER", on_hand=1_000, reason="Test")
    world = World(busy_shop, provider, carrier)
    yield world
    world.close()
