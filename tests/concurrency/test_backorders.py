"""Orders that wait for stock, stock that comes, and orders that leave, all at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import connection

from fulfillment import facade
from fulfillment.models import Reservation
from fulfillment.services import backorders, cancelling, reservations
from outbox.models import Message
from outbox.publishing import unit_of_work
from tests.concurrency.test_stock import outcomes, race
from tests.integration.fulfillment import goods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M6")]


@pytest.fixture(autouse=True)
def goods_add_up(transactional_db) -> Iterator[None]:
    """Check fulfilment's invariants when the race is over and every order has looked whether it can go on."""
    yield
    for order_id in Reservation.objects.order_by().values_list("consignment_id", flat=True).distinct():
        goods.at_once(backorders.check_backorder, order_id=order_id)
    assert goods.broken_rules() <= {"filled_backorders_go_on"}  # the engine does not run here


def arrival(sku: str, warehouse: str, on_hand: int) -> Callable[[], int]:
    def count() -> int:
        with unit_of_work():
            return facade.set_stock(sku=sku, warehouse=warehouse, on_hand=on_hand, reason="came in")

    return count


def buyer(**wanted: int) -> Callable[[], UUID]:
    return lambda: goods.backorder(**wanted)


def in_one_go(service: Callable[..., object], **arguments: object) -> Callable[[], None]:
    return lambda: goods.at_once(service, **arguments)


def shops(*codes: str) -> None:
    with unit_of_work():
        for code in codes:
            facade.define_warehouse(code=code, name=code, country="PT")


def allocated() -> list[UUID]:
    rows = Reservation.objects.allocated().order_by("place")
    return list(rows.values_list("consignment_id", flat=True))


@pytest.mark.parametrize("round_", range(3))
def test_who_joins_the_line_while_the_product_gets_its_first_shelves_is_not_forgotten(round_):
    shops("W0", "W1", "W2", "W3")
    contenders = [buyer(TEA=1) for _ in range(16)] + [arrival("TEA", f"W{n}", 2) for n in range(4)]
    assert outcomes(race(contenders)) == {"UUID": 16, "int": 4}
    promised = Reservation.objects.filter(status__in=["held", "allocated"]).count()
    assert (promised, Reservation.objects.backordered().count()) == (8, 8)


def somebody_waits_for_a_turn() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_first_shelf_that_comes_while_somebody_joins_the_line_is_put_up_after_that():
    shops("LIS")
    order_id = uuid4()
    with ThreadPoolExecutor(1) as pool:
        with unit_of_work():
            facade.reserve(order_id=order_id, lines=goods.lines(TEA=1, may_wait=True), ship_to=goods.address())
            coming = pool.submit(race, [arrival("TEA", "LIS", 1)])
            end = time.monotonic() + 20
            while not (coming.done() or somebody_waits_for_a_turn()) and time.monotonic() < end:
                time.sleep(0.01)
        assert coming.result(timeout=20) == [1]
    assert goods.reservations(order_id) == [("TEA", "LIS", 1, "allocated")]


def test_of_two_who_wait_for_one_piece_the_first_gets_it_and_once():
    goods.stock("TEA", LIS=0)
    first, second = goods.backorder(TEA=1), goods.backorder(TEA=1)
    results = race([arrival("TEA", "LIS", 1)] * 20)
    assert sorted(results) == [0] * 19 + [1]
    assert allocated() == [first]
    assert goods.reservations(second) == [("TEA", None, 1, "backordered")]
    assert Message.objects.filter(name="fulfillment.check_backorder").count() == 1


@pytest.mark.parametrize("round_", range(3))
def test_stock_that_comes_while_orders_leave_goes_to_those_who_stay(round_):
    shops(*[f"W{n}" for n in range(5)])
    waiting = [goods.backorder(TEA=1) for _ in range(20)]
    leaving, staying = waiting[::2], waiting[1::2]
    give_up = [in_one_go(reservations.release_stock, order_id=order_id) for order_id in leaving[:5]]
    cancel = [in_one_go(cancelling.cancel_shipments, order_id=order_id, reason="no") for order_id in leaving[5:]]
    results = race([*give_up, *cancel, *[arrival("TEA", f"W{n}", 3) for n in range(5)]])
    assert outcomes(results) == {"NoneType": 10, "int": 5}, results
    for order_id in leaving:
        goods.at_once(reservations.release_stock, order_id=order_id)
    assert allocated() == staying
    assert facade.availability(["TEA"]) == {"TEA": 5}


def test_orders_for_two_products_that_come_and_go_in_opposite_order_never_deadlock():
    goods.stock("CUP", LIS=0)
    goods.stock("TEA", LIS=0)
    there = [goods.backorder(TEA=2, CUP=2) if n % 2 else goods.backorder(CUP=2, TEA=2) for n in range(10)]
    goods.stock("CUP", LIS=11)
    goods.stock("TEA", LIS=9)
    leaving = [in_one_go(reservations.release_stock, order_id=order_id) for order_id in there[:6]]
    coming = [buyer(TEA=1, CUP=1), buyer(CUP=1, TEA=1)] * 5
    shops("BER")
    arriving = [
        arrival("CUP", "LIS", 14),
        arrival("TEA", "LIS", 14),
        arrival("TEA", "BER", 1),
        arrival("CUP", "BER", 1),
    ]
    results = race([*leaving, *coming, *arriving])
    assert outcomes(results) == {"NoneType": 6, "UUID": 10, "int": 4}, results
    assert facade.availability(["CUP", "TEA"]) == {"CUP": 0, "TEA": 0}
    assert Reservation.objects.backordered().count() == 6
