"""The customer's feed: complete, in order, resumable, and nobody else's."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from fulfillment import events as goods
from orders import events
from orders.models import CustomerFeed, Order, PublicEvent
from orders.public import feed
from orders.public.contracts import PUBLIC
from orders.public.translation import TRANSLATED
from outbox.consumers import find
from outbox.contracts import Event, Kind, all_contracts
from outbox.engine.transactional import run_one
from outbox.invariants import verify
from outbox.models import Delivery, Message
from outbox.publishing import publish, unit_of_work
from payments import events as payments
from tests.integration.orders.world import at_random, in_order
from tests.shop import make_caller

pytestmark = pytest.mark.requirement("M44")

KEPT_INSIDE = {
    events.ReviewPassed,
    events.ReviewRefused,
    goods.ShipmentBookingFailed,
    goods.ShipmentCancellationRefused,
    goods.ShipmentsBooked,
    goods.ShipmentsCancelled,
    goods.StockAllocated,
    goods.StockAllocationFailed,
    goods.StockReleased,
    payments.PaymentCaptureFailed,
    payments.PaymentRefundFailed,
    payments.RefundGranted,
}
"""Steps on the way, of which the customer is told the outcome."""
TOLD_OF_A_PAID_ORDER = [
    "order.placed",
    "payment.authorised",
    "order.confirmed",
    "shipment.handed_over",
    "payment.captured",
    "order.completed",
    "shipment.delivered",
]


def types_of(caller, query: str = "") -> list[str]:
    return [event["type"] for event in caller.get(f"events?limit=100{query}").json()["data"]]


def told(order: UUID, event: Event) -> None:
    with unit_of_work():
        publish(event)


def tell_all(me) -> None:
    """Let the feed's consumer do what is ready, oldest first."""
    for delivery in Delivery.objects.filter(consumer=feed.CONSUMER, state="ready").order_by("id"):
        run_one(feed_consumer(), delivery.id, me)


def feed_consumer():
    return find(feed.CONSUMER)


def test_every_event_about_an_order_is_translated_or_kept_inside_on_purpose():
    domains = ("orders", "payments", "fulfillment")
    known = {c.cls for c in all_contracts() if c.kind is Kind.EVENT and c.owner in domains}
    undecided = known - set(TRANSLATED) - KEPT_INSIDE
    assert undecided == set(), "add them to orders/public/translation.py, or to KEPT_INSIDE above"
    assert not set(TRANSLATED) & KEPT_INSIDE


def test_a_paid_order_is_told_from_the_placing_to_the_delivery(world):
    world.place(reference="R-7")
    world.run(in_order)
    page = world.customer.get("events").json()
    assert [event["type"] for event in page["data"]] == TOLD_OF_A_PAID_ORDER
    assert [event["sequence"] for event in page["data"]] == [1, 2, 3, 4, 5, 6, 7]
    assert {event["order"] for event in page["data"]} == {f"ord_{world.order_id.hex}"}
    first, paid = page["data"][:2]
    assert first["data"] == {"reference": "R-7", "total": {"amount": "25.80", "currency": "EUR"}, "lines": 1}
    assert paid["data"]["amount"] == {"amount": "25.80", "currency": "EUR"}
    assert (first["object"], first["version"]) == ("event", 1)
    ids = [UUID(event["id"].removeprefix("evt_")) for event in page["data"]]
    assert Message.objects.filter(id__in=ids).count() == 7


@pytest.mark.parametrize("seed", range(3))
def test_whoever_is_fast_or_slow_the_placing_is_told_first_and_the_end_after_what_led_to_it(world, seed):
    world.place()
    world.run(at_random(seed))
    found = types_of(world.customer)
    assert sorted(found) == sorted(TOLD_OF_A_PAID_ORDER)
    assert found[0] == "order.placed"
    assert found.index("payment.authorised") < found.index("order.confirmed") < found.index("order.completed")
    world.assert_sound()


def test_a_cancelled_order_is_told_to_its_end(world):
    world.place()
    world.run(in_order, cancel_when=lambda moves: moves == 1)
    found = types_of(world.customer)
    assert found[0] == "order.placed"
    assert 0 < found.index("order.cancelling") < found.index("order.cancelled")
    assert "payment.voided" in found
    world.assert_sound()


def test_what_overtakes_the_placing_waits_for_it(world):
    world.place()
    told(world.order_id, events.OrderConfirmed(order_id=world.order_id))
    placed, confirmed = Delivery.objects.filter(consumer=feed.CONSUMER).order_by("id")
    run_one(feed_consumer(), confirmed.id, world.me)
    confirmed.refresh_from_db()
    assert (confirmed.state, confirmed.attempts) == ("scheduled", 0)
    assert confirmed.waiting_for == "the placing of the order is told first"
    assert types_of(world.customer) == []
    run_one(feed_consumer(), placed.id, world.me)
    Delivery.objects.filter(id=confirmed.id).update(state="ready", due_at=None)
    run_one(feed_consumer(), confirmed.id, world.me)
    assert types_of(world.customer) == ["order.placed", "order.confirmed"]


def test_an_order_from_before_the_feed_is_told_from_where_it_is(world):
    world.place()
    Delivery.objects.filter(consumer=feed.CONSUMER).delete()
    told(world.order_id, events.OrderConfirmed(order_id=world.order_id))
    tell_all(world.me)
    assert types_of(world.customer) == ["order.confirmed"]


def test_an_event_that_comes_twice_is_told_once(world):
    world.place()
    tell_all(world.me)
    message = PublicEvent.objects.get().id
    Delivery.objects.create(message_id=message, consumer=feed.CONSUMER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outbox.engine.queue.finish", lambda *_, **__: None)  # its receipt stands already
        tell_all(world.me)
    Delivery.objects.filter(message_id=message, consumer=feed.CONSUMER).delete()
    assert PublicEvent.objects.count() == 1
    assert CustomerFeed.objects.get().last_position == 1


@pytest.fixture
def fed(shop):
    """A customer with five events of two orders."""
    orders = [Order.objects.get(id=UUID(shop.placed()["id"][4:])) for _ in range(2)]
    kinds = [("order.placed", 0), ("order.placed", 1), ("order.confirmed", 0), ("order.completed", 0),
             ("order.confirmed", 1)]  # fmt: skip
    numbers = [0, 0]
    for position, (kind, which) in enumerate(kinds, 1):
        numbers[which] += 1
        add_event(orders[which], kind, sequence=numbers[which], position=position)
    CustomerFeed.objects.create(customer=shop.customer, last_position=len(kinds))
    shop.orders = [f"ord_{order.id.hex}" for order in orders]
    return shop


def add_event(order: Order, kind: str, *, sequence: int, position: int) -> None:
    PublicEvent.objects.create(
        id=uuid4(),
        customer_id=order.customer_id,
        order=order,
        type=kind,
        version=1,
        sequence=sequence,
        position=position,
        occurred_at=order.placed_at + timedelta(seconds=position),
        data={"reference": None},
    )


def test_the_cursor_always_names_the_place_after_what_was_shown(fed):
    first = fed.get("events?limit=2").json()
    second = fed.get(f"events?limit=2&cursor={first['cursor']}").json()
    assert second == fed.get(first["next"]).json()
    last = fed.get(second["next"]).json()
    assert [len(page["data"]) for page in (first, second, last)] == [2, 2, 1]
    assert last["next"] is None
    nothing = fed.get(f"events?cursor={last['cursor']}").json()
    assert nothing == {"data": [], "next": None, "cursor": last["cursor"]}
    add_event(Order.objects.first(), "order.completed", sequence=9, position=6)
    assert [e["type"] for e in fed.get(f"events?cursor={last['cursor']}").json()["data"]] == ["order.completed"]


def test_an_empty_feed_has_a_cursor_to_wait_at(shop, stranger):
    page = stranger.get("events").json()
    assert (page["data"], page["next"]) == ([], None)
    assert stranger.get(f"events?cursor={page['cursor']}").json() == page


def test_filters_narrow_the_feed_together_and_go_along(fed):
    assert types_of(fed, "&type=order.confirmed") == ["order.confirmed"] * 2
    assert types_of(fed, f"&order={fed.orders[0]}") == ["order.placed", "order.confirmed", "order.completed"]
    assert types_of(fed, f"&order={fed.orders[1]}&type=order.placed") == ["order.placed"]
    page = fed.get(f"events?order={fed.orders[0]}&limit=1").json()
    assert [e["type"] for e in fed.get(page["next"]).json()["data"]] == ["order.confirmed"]


@pytest.mark.parametrize("query", ["type=order.eaten", "order=ord_1", "order=pay_" + "0" * 32, "color=red", "limit=0"])
def test_filters_that_make_no_sense_are_refused(fed, query):
    response = fed.get(f"events?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "%00", "W10", "WyJvcmRlcnMiLGZhbHNlLFsieCIsInkiXV0", "WyJldmVudHMiLGZhbHNlLFsiLTEiXV0",
     "WyJldmVudHMiLHRydWUsWyIxIl1d", "WyJldmVudHMiLGZhbHNlLFsiOTk5OTk5OTk5OTk5OTk5OTk5OTkiXV0"],
)  # fmt: skip
def test_cursors_made_by_hand_are_refused(fed, cursor):
    response = fed.get(f"events?cursor={cursor}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


def test_one_event_is_read_by_its_id(fed):
    event = fed.get("events?limit=1").json()["data"][0]
    response = fed.get(f"events/{event['id']}")
    assert response.json() == event
    assert fed.get(f"events/{event['id']}", if_none_match=response["ETag"]).status_code == 304


def test_the_feed_of_others_does_not_exist(fed, stranger):
    page = fed.get("events?limit=1").json()
    assert stranger.get("events").json()["data"] == []
    assert stranger.get(page["next"]).json()["data"] == []
    assert stranger.get(f"events?order={fed.orders[0]}").json()["data"] == []
    for wanted in (page["data"][0]["id"], f"evt_{uuid4().hex}", "evt_x", "x"):
        response = stranger.get(f"events/{wanted}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_feed_needs_its_scope(fed):
    other = make_caller("Reader of orders", scopes=["orders:read"])
    assert other.get("events").status_code == 403
    assert other.get(f"events/evt_{uuid4().hex}").status_code == 403


def test_gaps_in_numbers_are_found(fed):
    def broken() -> set[str]:
        return {v.name for v in verify("orders.events") if v.violations}

    assert broken() == set()
    PublicEvent.objects.filter(position=3).delete()
    assert broken() == {"orders.events_are_numbered_without_gaps"}


def test_every_type_is_documented_with_what_it_says():
    assert all(declared.cls.__doc__ for declared in PUBLIC.values())
