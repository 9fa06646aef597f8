"""Goods that are promised before they are there: who waits, who is served, and what becomes of who leaves."""

from uuid import uuid4

import pytest
from django.db import IntegrityError

from fulfillment import facade
from fulfillment.commands import AllocateStock, BookShipments, CancelShipments, CheckBackorder, ReleaseStock
from fulfillment.errors import InsufficientStock
from fulfillment.models import Reservation
from fulfillment.services import shipping
from outbox.context import scope
from outbox.models import Message, Transition
from outbox.publishing import unit_of_work
from tests.integration.fulfillment.goods import (
    address,
    ask,
    at_once,
    backorder,
    level,
    lines,
    parcels,
    reservations,
    reserve,
    sql,
    state,
    stock,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]


def waiting(order_id) -> list[tuple[str, int]]:
    rows = Reservation.objects.backordered().filter(consignment_id=order_id)
    return list(rows.values_list("sku", "quantity"))


def test_what_is_there_is_held_and_the_rest_is_waited_for():
    stock("TEA", LIS=2, BER=1)
    order_id = backorder(TEA=5)
    assert reservations(order_id) == [
        ("TEA", "BER", 1, "held"),
        ("TEA", "LIS", 2, "held"),
        ("TEA", None, 2, "backordered"),
    ]
    assert (level("TEA", "LIS"), level("TEA", "BER"), state(order_id)) == ((2, 2), (1, 1), "backordered")


def test_what_is_there_whole_is_only_held_also_where_it_might_be_waited_for(statements):
    stock("TEA", LIS=5)
    order_id = uuid4()
    with unit_of_work():
        statements.clear()
        assert not facade.reserve(order_id=order_id, lines=lines(TEA=5, may_wait=True), ship_to=address())
        assert len(statements) == 3
    assert (reservations(order_id), state(order_id)) == ([("TEA", "LIS", 5, "held")], "reserved")


def test_a_product_that_no_warehouse_has_a_row_of_can_be_waited_for(drain):
    order_id = backorder(TEA=2)
    stock("TEA", LIS=2)
    assert reservations(order_id) == [("TEA", "LIS", 2, "allocated")]
    drain()
    assert (state(order_id), told(order_id)) == ("reserved", ["backorder_filled"])


def test_a_line_that_may_not_wait_refuses_all_of_them():
    stock("TEA", LIS=5)
    mixed = [*lines(CUP=1, may_wait=True), *lines(TEA=6)]
    with pytest.raises(InsufficientStock), unit_of_work():
        facade.reserve(order_id=uuid4(), lines=mixed, ship_to=address())
    assert level("TEA", "LIS") == (5, 0)
    assert not Reservation.objects.exists()


@pytest.mark.requirement("M6")
def test_stock_that_comes_goes_to_who_came_first_piece_by_piece(drain):
    stock("TEA", LIS=0, BER=0)
    first, second = backorder(TEA=3), backorder(TEA=1)
    stock("TEA", LIS=2)
    assert (waiting(first), waiting(second)) == ([("TEA", 1)], [("TEA", 1)])
    drain()
    assert told(first) == told(second) == []
    stock("TEA", BER=2)
    drain()
    assert reservations(first) == [("TEA", "BER", 1, "allocated"), ("TEA", "LIS", 2, "allocated")]
    assert reservations(second) == [("TEA", "BER", 1, "allocated")]
    assert told(first) == told(second) == ["backorder_filled"]
    assert (level("TEA", "LIS"), level("TEA", "BER")) == ((2, 2), (2, 2))


def test_a_later_order_stands_behind_and_finds_nothing_to_overtake_with(drain):
    stock("TEA", LIS=1)
    first = backorder(TEA=3)
    stock("TEA", LIS=2)
    later = backorder(TEA=1)
    with pytest.raises(InsufficientStock):
        reserve(TEA=1)
    stock("TEA", LIS=3)
    drain()
    assert (told(first), told(later), waiting(later)) == (["backorder_filled"], [], [("TEA", 1)])


def test_more_than_is_waited_for_is_for_sale(drain):
    stock("TEA", LIS=0)
    order_id = backorder(TEA=3)
    stock("TEA", LIS=10)
    drain()
    assert told(order_id) == ["backorder_filled"]
    assert facade.availability(["TEA"]) == {"TEA": 7}


def test_a_count_that_finds_less_or_the_same_gives_nothing():
    stock("TEA", LIS=2)
    order_id = backorder(TEA=3)
    stock("TEA", LIS=2)
    assert waiting(order_id) == [("TEA", 1)]


def test_an_order_goes_on_when_the_last_of_its_products_is_there(drain):
    order_id = backorder(TEA=1, CUP=1)
    stock("TEA", LIS=1)
    drain()
    assert (state(order_id), told(order_id)) == ("backordered", [])
    stock("CUP", BER=1)
    drain()
    assert (state(order_id), told(order_id)) == ("reserved", ["backorder_filled"])


def test_what_another_order_gives_back_goes_to_who_waits_for_it_not_back_on_sale(drain):
    stock("TEA", LIS=4)
    holder = reserve(TEA=4)
    waiter = backorder(TEA=3)
    ask(ReleaseStock(order_id=holder, reason="declined"))
    drain()
    assert reservations(waiter) == [("TEA", "LIS", 3, "allocated")]
    assert told(waiter) == ["backorder_filled"]
    assert level("TEA", "LIS") == (4, 3)


def test_the_order_is_told_once_however_often_it_is_asked(drain):
    order_id = backorder(TEA=1)
    stock("TEA", LIS=1)
    ask(*[CheckBackorder(order_id=order_id)] * 3)
    drain()
    assert told(order_id) == ["backorder_filled"]


def test_it_is_told_in_the_orders_own_conversation_not_in_that_of_who_brought_the_stock(drain):
    mine, order_id = uuid4(), uuid4()
    with scope(correlation_id=mine):
        ask(CheckBackorder(order_id=order_id))  # the first word about the order
        backorder(order_id, TEA=1)
    with scope(correlation_id=uuid4()):
        stock("TEA", LIS=1)
    drain()
    about = Message.objects.filter(payload__order_id=str(order_id))
    assert {message.correlation_id for message in about} == {mine}
    assert about.filter(name="fulfillment.backorder_filled").count() == 1


def test_a_filled_order_is_allocated_and_shipped_from_where_its_goods_are(drain, carrier):
    stock("TEA", LIS=1)
    order_id = backorder(TEA=2)
    stock("TEA", BER=1)
    drain()
    ask(AllocateStock(order_id=order_id))
    drain()
    ask(BookShipments(order_id=order_id))
    drain()
    assert {status for *_, status in reservations(order_id)} == {"allocated"}
    assert parcels(order_id) == [("BER", "ready"), ("LIS", "ready")]


def test_an_order_that_waits_cannot_be_shipped_or_made_firm():
    order_id = backorder(TEA=1)
    with pytest.raises(shipping.StockNotAllocated, match="still waits for stock"):
        at_once(shipping.book_shipments, order_id=order_id)
    with pytest.raises(IntegrityError, match="no way from backordered to allocated"):
        sql("UPDATE fulfillment_consignment SET status = 'allocated'")


def test_a_cancelled_order_leaves_the_line_at_once_and_keeps_nothing_afterwards(drain):
    stock("TEA", LIS=2)
    order_id, next_one = backorder(TEA=3), backorder(TEA=1)
    ask(CancelShipments(order_id=order_id, reason="changed my mind"))
    drain()
    assert (told(order_id), waiting(order_id), state(order_id)) == (["shipments_cancelled"], [], "cancelled")
    stock("TEA", LIS=3)
    assert reservations(next_one) == [("TEA", "LIS", 1, "allocated")]
    ask(ReleaseStock(order_id=order_id, reason="changed my mind"))
    drain()
    assert {status for *_, status in reservations(order_id)} == {"released"}
    assert level("TEA", "LIS") == (3, 1)


@pytest.mark.parametrize("partly", [False, True])
def test_an_order_that_gives_up_leaves_the_line_and_passes_on_what_it_had(drain, partly):
    stock("TEA", LIS=1)
    order_id, next_one = backorder(TEA=3), backorder(TEA=2)
    if partly:
        stock("TEA", LIS=2)
    ask(*[ReleaseStock(order_id=order_id, reason="too late")] * 2)
    drain()
    assert {status for *_, status in reservations(order_id)} == {"released"}
    had = 2 if partly else 1
    assert level("TEA", "LIS") == (had, had)
    assert waiting(next_one) == ([] if partly else [("TEA", 1)])
    assert told(order_id) == ["stock_released", "stock_released"]


def test_nothing_is_given_to_an_order_that_has_gone(drain):
    order_id = backorder(TEA=1)
    ask(ReleaseStock(order_id=order_id, reason="declined"))
    drain()
    stock("TEA", LIS=1)
    ask(CheckBackorder(order_id=order_id), AllocateStock(order_id=order_id))
    drain()
    assert told(order_id) == ["stock_released", "stock_allocation_failed"]
    assert (reservations(order_id), level("TEA", "LIS")) == ([("TEA", None, 1, "released")], (1, 0))


@pytest.mark.requirement("M26")
def test_each_part_has_its_history():
    stock("TEA", LIS=0)
    order_id = backorder(TEA=2)
    stock("TEA", LIS=1)
    parts = Reservation.objects.filter(consignment_id=order_id).order_by("status")
    history = {
        part.status: list(
            Transition.objects.filter(entity_id=part.id).order_by("seq").values_list("to_state", flat=True)
        )
        for part in parts
    }
    assert history == {"allocated": ["backordered", "allocated"], "backordered": ["backordered"]}
    assert len({part.place for part in parts}) == 1


@pytest.mark.parametrize(
    "change",
    ["warehouse_id = 'LIS'", "expires_at = now()", "status = 'allocated'"],
)
def test_the_database_refuses_what_waits_in_a_warehouse_and_what_is_firm_in_none(change):
    stock("CUP", LIS=1)
    backorder(TEA=1)
    with pytest.raises(IntegrityError, match="fulfillment_reservation_is_somewhere"):
        sql(f"UPDATE fulfillment_reservation SET {change}")


def test_lines_that_wait_are_known_by_their_order():
    stock("CUP", LIS=9)
    first, second, third = uuid4(), uuid4(), uuid4()
    wanted = lines(TEA=2, CUP=1, may_wait=True)
    with unit_of_work():
        facade.reserve(order_id=first, lines=wanted, ship_to=address())
    backorder(second, POT=1)
    reserve(order_id=third, CUP=1)
    found = facade.awaited([first, second, third])
    assert (found[first], set(found)) == ([wanted[0].line_id], {first, second})
