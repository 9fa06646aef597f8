"""A customer with orders, an endpoint, and a receiver behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from orders import events
from orders.models import Order
from orders.public import feed
from outbox.consumers import Incoming, Received
from outbox.context import Context
from outbox.models import Delivery, WebhookDelivery, WebhookEndpoint
from outbox.publishing import unit_of_work
from tests.integration.webhooks.receiver import Receiver
from tests.shop import Caller, busy_shop, shop, stranger

__all__ = ["busy_shop", "shop", "stranger"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Makes receivers."""
    made: list[Receiver] = []

    def make(answer=None) -> Receiver:
        made.append(Receiver(answer) if answer else Receiver())
        return made[-1]

    yield make
    for one in made:
        one.close()


@dataclass
class Hooked:
    """A customer whose orders are told of by hand, one event at a time."""

    caller: Caller
    order: UUID

    def endpoint(self, url: str, **wish) -> dict:
        response = self.caller.post("webhook_endpoints", {"url": url, "events": ["*"], **wish})
        assert response.status_code == 201, response.content
        return response.json()

    def happens(self, *kinds: type, order: UUID | None = None) -> list[UUID]:
        """Tell customers of these events of an order, in one transaction; return the events' ids."""
        received = [
            Received(
                kind(order_id=order or self.order, **({"code": "review"} if kind is events.OrderHeld else {})),
                Incoming(uuid4(), "orders.order_confirmed", 1, uuid4(), None, "", datetime.now(UTC), 1),
                Context(),
            )
            for kind in kinds
        ]
        with unit_of_work():
            assert feed.tell(received) == {}
        return [one.message.id for one in received]

    def another_order(self) -> UUID:
        order = UUID(self.caller.placed()["id"][4:])
        Delivery.objects.all().delete()
        return order

    def deliveries(self, endpoint: dict, query: str = "") -> list[dict]:
        """The endpoint's deliveries, oldest first."""
        page = self.caller.get(f"webhook_endpoints/{endpoint['id']}/deliveries?limit=100{query}").json()
        return page["data"][::-1]

    def read(self, endpoint: dict) -> dict:
        return self.caller.get(f"webhook_endpoints/{endpoint['id']}").json()

    def states(self) -> list[str]:
        return list(WebhookDelivery.objects.order_by("id").values_list("state", flat=True))


@pytest.fixture
def hooked(busy_shop, settings) -> Hooked:
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    order = UUID(busy_shop.placed()["id"][4:])
    Delivery.objects.all().delete()
    return Hooked(busy_shop, order)


@pytest.fixture
def served(drain) -> Callable[[], None]:
    """Works until nothing is due at any endpoint any more; alarms for later stay."""

    def done() -> bool:
        return not Delivery.objects.exclude(state="scheduled").exists()

    return lambda: drain(until=done)


@pytest.fixture
def passes() -> Callable[..., None]:
    """Lets time pass for retries, pauses and alarms."""

    def let() -> None:
        WebhookDelivery.objects.filter(state="waiting").update(due_at=datetime(2026, 1, 1, tzinfo=UTC))
        WebhookEndpoint.objects.update(open_until=None)
        WebhookEndpoint.objects.update(alarm_at=None)
        Delivery.objects.filter(state="scheduled").update(state="ready", due_at=None)

    return let


def order_number(order: UUID) -> str:
    return Order.objects.get(id=order).public_id
