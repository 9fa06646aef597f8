"""Fulfilment alone: no other app hears its events. A carrier that answers at once, an order in two warehouses."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from fulfillment import handlers
from fulfillment.commands import AllocateStock
from outbox import publishing
from outbox.consumers import subscribers
from tests.integration.fulfillment.goods import FakeCarrier, ask, broken_rules, reserve, stock


@pytest.fixture(autouse=True)
def alone(monkeypatch) -> None:
    """Keep fulfilment's events from the other apps: the orders of these tests are ids only."""

    def ours(message_name: str) -> tuple[str, ...]:
        return tuple(name for name in subscribers(message_name) if name.startswith("fulfillment."))

    monkeypatch.setattr(publishing, "subscribers", ours)


@pytest.fixture
def goods_add_up(transactional_db) -> Iterator[None]:
    """Check fulfilment's invariants when the test is over."""
    yield
    assert broken_rules() == set()


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
