"""Orders for more than is in stock of products that may be waited for: accepted, paid for, and carried on by stock."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from fulfillment import facade as fulfillment
from orders.models import Order, Product
from orders.services import review_order
from outbox.context import scope
from outbox.invariants import verify
from outbox.models import Message, Saga
from outbox.publishing import send, unit_of_work
from outbox.sagas import attention
from payments.commands import SynchronisePayment
from payments.gateways.base import IntentStatus
from tests.integration.orders.world import World, at_random, go_wrong, in_order
from tests.integration.outbox.asking import sql
from tests.shop import CUP, RARE, TEA, add_product, order_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M24")]

POT, MUG = "POT-CAST-500", "MUG-BLUE-300"


@pytest.fixture
def pots(world) -> World:
    """The world, with one pot in Lisbon and no mug at all; both may be waited for."""
    add_product(POT, "45.00", 1, backorder=True)
    add_product(MUG, "9.00", 0, backorder=True)
    return world


def count(sku: str, warehouse: str, on_hand: int) -> None:
    with unit_of_work():
        fulfillment.set_stock(sku=sku, warehouse=warehouse, on_hand=on_hand, reason="came in")


def shown(world: World) -> dict:
    return world.customer.get(f"orders/ord_{world.order_id.hex}").json()


def steps(order: dict) -> dict[str, str]:
    return {step["name"]: step["status"] for step in order["progress"]["steps"]}


def another(world: World, *lines: tuple[str, int], **changes: object) -> Order:
    return Order.objects.get(id=UUID(world.customer.placed(*lines, **changes)["id"][4:]))


def broken() -> list[str]:
    return [verdict.name for verdict in verify() if verdict.violations]


# placing


@pytest.mark.requirement("M1", "M3")
def test_an_order_beyond_stock_is_accepted_and_says_that_it_is_backordered(pots):
    placed = pots.customer.placed((POT, 3), (TEA, 1))
    assert (placed["status"], placed["fulfillment_status"]) == ("placed", "backordered")
    assert placed["progress"]["awaiting"] == "payment authorisation"
    assert steps(placed)["await_stock"] == "pending"
    assert Order.objects.get().route == "backorder"
    assert fulfillment.availability([POT, TEA]) == {POT: 0, TEA: 999}
    assert broken() == []


def test_what_is_first_shown_is_what_is_read_later(pots):
    placed = pots.customer.placed((POT, 3))
    read = pots.customer.get(f"orders/{placed['id']}").json()
    assert {name for name in placed if placed[name] != read[name]} <= {"progress"}
    assert steps(read) == steps(placed)


def test_a_product_that_may_be_waited_for_goes_the_ordinary_way_while_it_is_there(pots):
    placed = pots.customer.placed((POT, 1))
    assert placed["fulfillment_status"] == "reserved"
    assert "await_stock" not in steps(placed)
    assert Order.objects.get().route == "standard"


def test_an_order_with_a_line_that_may_not_wait_is_refused_for_that_line_alone(pots):
    response = pots.customer.place(order_of((POT, 3), (RARE, 2)))
    assert (response.status_code, response.json()["code"]) == (409, "insufficient_stock")
    assert response.json()["shortages"] == [{"sku": RARE, "requested": 2, "available": 1}]
    assert not Order.objects.exists()
    assert fulfillment.availability([POT, RARE]) == {POT: 1, RARE: 1}


def test_waiting_costs_one_statement_more_and_a_product_that_might_wait_one_as_well(pots, statements):
    def taken(*lines: tuple[str, int]) -> int:
        pots.customer.placed(*lines)  # what is built once is built now
        statements.clear()
        pots.customer.placed(*lines)
        return len([sql for sql in statements if sql not in ("BEGIN", "COMMIT")])

    count(POT, "LIS", 2)
    ordinary = taken((TEA, 1))
    assert ordinary <= 12
    assert (taken((POT, 1)), taken((POT, 1))) == (ordinary + 1, ordinary + 2)


@pytest.mark.requirement("M43")
def test_the_catalogue_says_that_a_product_may_be_ordered_beyond_what_is_there(pots):
    pots.customer.placed((POT, 3))
    product = pots.customer.get(f"products/{POT}").json()
    assert product["availability"] == {"quantity": 0, "backorder": True}
    assert pots.customer.get(f"products/{TEA}").json()["availability"]["backorder"] is False


# waiting


@pytest.mark.requirement("M5")
def test_once_it_is_paid_the_order_waits_for_its_goods_by_name(pots):
    pots.place((POT, 3), (MUG, 1), (TEA, 1))
    pots.run(in_order)
    order = shown(pots)
    assert (order["status"], order["payment_status"], order["fulfillment_status"]) == (
        "placed",
        "authorised",
        "backordered",
    )
    progress = order["progress"]
    assert (progress["state"], progress["awaiting"]) == ("waiting", f"stock of {POT.title()} and {MUG.title()}")
    assert (steps(order)["await_stock"], steps(order)["allocate_stock"]) == ("waiting", "pending")
    listed = pots.customer.get("orders").json()["data"][0]
    assert listed["progress"] == progress
    count(POT, "LIS", 3)
    assert shown(pots)["progress"]["awaiting"] == f"stock of {MUG.title()}"
    assert broken() == []


def test_many_products_are_not_all_named(pots):
    for number in range(4):
        add_product(f"TIN-{number}", "2.00", 0, backorder=True)
    pots.place(*[(f"TIN-{number}", 1) for number in range(4)])
    pots.run(in_order)
    assert shown(pots)["progress"]["awaiting"] == "stock of Tin-0, Tin-1 and 2 more products"


def test_the_timeline_tells_of_the_wait(pots):
    pots.place((POT, 3))
    count(POT, "LIS", 3)
    pots.run(in_order)
    timeline = pots.customer.get(f"orders/ord_{pots.order_id.hex}/timeline").json()["data"]
    told = [entry["description"] for entry in timeline]
    assert "The order was placed." in told
    assert "Not everything is in stock. What is there is reserved, the rest is waited for." in told
    assert "Everything the order waited for is in stock and reserved." in told


# going on


@pytest.mark.parametrize("arrivals", [[("LIS", 3)], [("BER", 2)], [("LIS", 2), ("BER", 1)]], ids=str)
def test_the_order_goes_on_by_itself_when_its_stock_is_there(pots, arrivals):
    pots.place((POT, 3), (TEA, 1))
    pots.run(in_order)
    for warehouse, on_hand in arrivals:
        count(POT, warehouse, on_hand)
    pots.run(in_order)
    assert pots.order.status == "completed"
    pots.assert_sound()
    assert fulfillment.availability([POT]) == {POT: 0}


def test_stock_that_comes_before_the_payment_is_through_is_waited_for_no_more(pots):
    pots.place((POT, 3))
    count(POT, "LIS", 3)
    pots.run(in_order)
    assert pots.order.status == "completed"
    pots.assert_sound()


def test_stock_that_is_short_of_two_orders_carries_the_first_on_and_leaves_the_second_waiting(pots):
    pots.place((MUG, 2))
    second = another(pots, (MUG, 1))
    pots.run(in_order)
    count(MUG, "LIS", 2)
    pots.run(in_order)
    second.refresh_from_db()
    assert (pots.order.status, pots.order.fulfillment_status) == ("completed", "delivered")
    assert (second.status, second.fulfillment_status) == ("placed", "backordered")
    assert broken() == []


def test_what_a_declined_order_gives_back_goes_to_the_one_that_waits(pots):
    count(MUG, "LIS", 2)
    declined = another(pots, (MUG, 2), payment_method="pm_declined")
    pots.place((MUG, 2))
    pots.run(in_order)
    declined.refresh_from_db()
    assert declined.status == "rejected"
    assert pots.order.status == "completed"
    assert broken() == []


def test_a_product_that_may_not_be_waited_for_any_more_still_comes_to_those_who_wait(pots):
    pots.place((MUG, 1))
    Product.objects.filter(sku=MUG).update(backorder=False)
    assert pots.customer.place(order_of((MUG, 1))).json()["code"] == "insufficient_stock"
    count(MUG, "LIS", 1)
    pots.run(in_order)
    assert pots.order.status == "completed"


# review and waiting together


def decide(order: Order) -> None:
    with scope(actor="staff:ada"), unit_of_work():
        review_order(order_id=order.id, passed=True, reason="Checked", expected_version=order.version)


def test_a_large_order_beyond_stock_is_reviewed_and_then_waits_for_what_is_left_of_its_hold(pots, settings):
    settings.REVIEW_ABOVE = "100.00"
    pots.place((POT, 3))
    pots.run(in_order)
    assert (pots.order.route, pots.order.status, pots.order.fulfillment_status) == ("review", "on_hold", "backordered")
    assert shown(pots)["progress"]["awaiting"] == "a decision by our staff"
    decide(pots.order)
    pots.run(in_order)
    assert shown(pots)["progress"]["awaiting"] == f"stock of {POT.title()}"
    left = Saga.objects.get().deadline_at - timezone.now()
    assert timedelta(days=2.9) < left <= timedelta(days=3)
    count(POT, "LIS", 3)
    pots.run(in_order)
    assert pots.order.status == "completed"
    pots.assert_sound()


def test_stock_that_comes_during_the_review_is_waited_for_no_more(pots, settings):
    settings.REVIEW_ABOVE = "100.00"
    pots.place((POT, 3))
    pots.run(in_order)
    count(POT, "LIS", 3)
    pots.run(in_order)
    assert (pots.order.status, pots.order.fulfillment_status) == ("on_hold", "reserved")
    decide(pots.order)
    pots.run(in_order)
    assert pots.order.status == "completed"
    pots.assert_sound()


def test_an_order_that_is_only_beyond_stock_waits_as_long_as_its_money_is_held(pots):
    pots.place((POT, 3))
    pots.run(in_order)
    left = Saga.objects.get().deadline_at - timezone.now()
    assert timedelta(days=5.9) < left <= timedelta(days=6)


# not going on


@pytest.mark.requirement("M25")
def test_stock_that_does_not_come_in_time_undoes_the_order_and_the_customer_reads_why(pots):
    pots.place((POT, 3))
    pots.run(in_order)
    next_one = another(pots, (POT, 1))
    sql("UPDATE outbox_saga SET deadline_at = now() - interval '1 s' WHERE key = %s", pots.order_id)
    attention.expire_late_steps()
    pots.run(in_order)
    order = shown(pots)
    assert (order["status"], order["payment_status"], order["fulfillment_status"]) == (
        "cancelled",
        "voided",
        "released",
    )
    assert (order["reason_code"], order["reason"]) == (
        "deadline_passed",
        "The goods did not come into stock in time. Nothing is charged.",
    )
    assert order["progress"]["state"] == "compensated"
    next_one.refresh_from_db()
    assert next_one.fulfillment_status in ("allocated", "reserved")
    assert broken() == []


def test_a_hold_that_the_provider_lets_go_while_goods_are_awaited_undoes_the_order(pots):
    pots.place((POT, 3))
    pots.run(in_order)
    pots.provider.change(status=IntentStatus.CANCELED)
    with unit_of_work():
        send(SynchronisePayment(payment_id=pots.order.payment_id, order_id=pots.order_id))
    pots.run(in_order)
    order = shown(pots)
    assert (order["status"], order["payment_status"], order["fulfillment_status"]) == (
        "cancelled",
        "expired",
        "released",
    )
    assert (order["reason_code"], order["reason"]) == (
        "authorisation_expired",
        "The authorisation ended at the provider before it was captured.",
    )
    count(POT, "LIS", 3)
    pots.run(in_order)
    assert pots.order.status == "cancelled"
    assert broken() == []


def test_an_order_that_waits_can_be_cancelled_and_what_it_had_goes_to_the_next(pots):
    pots.place((POT, 3))
    next_one = another(pots, (POT, 1))
    pots.run(in_order)
    pots.cancel()
    pots.run(in_order)
    assert (pots.cancelled, pots.order.status, pots.order.reason) == (202, "cancelled", "I changed my mind.")
    next_one.refresh_from_db()
    assert next_one.status == "confirmed"
    count(POT, "LIS", 9)
    pots.run(in_order)
    assert pots.order.status == "cancelled"
    assert fulfillment.availability([POT]) == {POT: 8}
    assert broken() == []


class Deliveries(World):
    """A world in which stock comes in whenever the test likes."""

    coming: list[tuple[str, str, int]]

    def moves(self):
        found = super().moves()
        if self.coming:
            found["stock comes in"] = self._receive
        return found

    def _receive(self) -> None:
        count(*self.coming.pop(0))


@pytest.fixture
def deliveries(pots, monkeypatch) -> Deliveries:
    """The world with two pots and one mug on their way, in three vans."""
    pots.__class__ = Deliveries
    pots.coming = [(POT, "BER", 1), (MUG, "LIS", 1), (POT, "LIS", 2)]
    return pots


COURSE = 30
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 200))]


@pytest.mark.requirement("M25")
@pytest.mark.parametrize("seed", SEEDS)
def test_in_any_order_of_events_an_order_that_waits_ends_and_nothing_is_left_over(deliveries, seed):
    if seed % 2:
        go_wrong(deliveries, seed)
    deliveries.place((POT, 3), (MUG, 1), (CUP, 1))
    cancelled_at = seed % COURSE if seed % 4 else -1
    deliveries.run(at_random(seed), cancel_when=cancelled_at.__eq__)
    deliveries.assert_sound()


def test_nothing_about_a_wait_is_said_in_another_orders_conversation(pots):
    count(MUG, "LIS", 1)
    holder = another(pots, (MUG, 1), payment_method="pm_declined")
    pots.place((MUG, 1))
    pots.run(in_order)
    assert pots.order.status == "completed"
    theirs = Message.objects.filter(correlation_id=holder.correlation_id)
    assert {row.payload["order_id"] for row in theirs} == {str(holder.id)}
