"""A carrier that answers at once, and an order whose goods are in two warehouses."""

from uuid import UUID

import pytest

from fulfillment import handlers
from fulfillment.commands import AllocateStock
from tests.integration.fulfillment.goods import FakeCarrier, ask, reserve, stock


@pytest.fixture
def carrier(monkeypatch) -> FakeCarrier:
    fake = FakeCarrier()
    monkeypatch.setattr(handlers, "configured_carrier", lambda: fake)
    return fake


@pytest.fixture
def order(drain) -> UUID:
    """An allocated order whose goods are in both warehouses."""
    stock("TEA", LIS=9, BER=0)
    stock("CUP", LIS=0, BER=9)
    order_id = reserve(TEA=2, CUP=1)
    ask(AllocateStock(order_id=order_id))
    drain()
    return order_id
