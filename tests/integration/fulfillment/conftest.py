"""A carrier that answers at once."""

import pytest

from fulfillment import handlers
from tests.integration.fulfillment.goods import FakeCarrier


@pytest.fixture
def carrier(monkeypatch) -> FakeCarrier:
    fake = FakeCarrier()
    monkeypatch.setattr(handlers, "configured_carrier", lambda: fake)
    return fake
