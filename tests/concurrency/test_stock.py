"""Orders that race for the same stock, on a real PostgreSQL."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.db import connection

from fulfillment import facade
from fulfillment.errors import InsufficientStock
from fulfillment.facade import ReserveLine
from fulfillment.models import Consignment, Reservation
from fulfillment.services import reservations, settlement, stock
from outbox.publishing import unit_of_work
from tests.integration.fulfillment import goods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]


@pytest.fixture
def goods_add_up(transactional_db) -> Iterator[None]:
    """Check fulfilment's invariants when the race is over."""
    yield
    assert goods.broken_rules() == set()


def race(contenders: list[Callable[[], object]]) -> list[object]:
    """What each returned or raised, all started at the same moment."""
    start = Barrier(len(contenders))

    def run(contender: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            start.wait()
            return contender()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(contenders)) as pool:
        return list(pool.map(run, contenders))


def buyer(*wanted: tuple[str, int], country: str = "PT") -> Callable[[], UUID]:
    """Reserves the SKUs in the order given."""

    def buy() -> UUID:
        order_id = uuid4()
        lines = [ReserveLine(line_id=uuid4(), sku=sku, quantity=n, weight_grams=100) for sku, n in wanted]
        with unit_of_work():
            facade.reserve(order_id=order_id, lines=lines, ship_to=goods.address(country))
        return order_id

    return buy


def outcomes(results: list[object]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


@pytest.mark.requirement("M6")
@pytest.mark.parametrize("round_", range(5))
def test_of_fifty_who_want_the_last_piece_one_gets_it(round_):
    goods.stock("TEA", LIS=1)
    results = race([buyer(("TEA", 1))] * 50)
    assert outcomes(results) == {"UUID": 1, "InsufficientStock": 49}
    assert all(result.shortages == (("TEA", 1, 0),) for result in results if isinstance(result, InsufficientStock))
    assert goods.level("TEA", "LIS") == (1, 1)
    assert Reservation.objects.count() == Consignment.objects.count() == 1


@pytest.mark.requirement("M6")
def test_two_products_wanted_in_opposite_orders_never_deadlock():
    goods.stock("CUP", LIS=1_000, BER=1_000)
    goods.stock("TEA", LIS=1_000, BER=1_000)
    results = race([buyer(("CUP", 1), ("TEA", 1)), buyer(("TEA", 1), ("CUP", 1), country="DE")] * 25)
    assert outcomes(results) == {"UUID": 50}
    assert goods.level("CUP", "LIS") == goods.level("TEA", "BER") == (1_000, 25)


def test_scarce_stock_in_two_warehouses_is_sold_to_the_last_piece_and_no_further():
    goods.stock("CUP", LIS=7, BER=5)
    goods.stock("TEA", LIS=5, BER=7)
    results = race([buyer(("CUP", 1), ("TEA", 1)), buyer(("TEA", 1), ("CUP", 1), country="DE")] * 15)
    assert outcomes(results) == {"UUID": 12, "InsufficientStock": 18}
    assert [goods.level(sku, code) for sku in ("CUP", "TEA") for code in ("LIS", "BER")] == [
        (7, 7),
        (5, 5),
        (5, 5),
        (7, 7),
    ]


def test_buying_and_giving_back_the_same_products_never_deadlock():
    goods.stock("CUP", LIS=100, BER=100)
    goods.stock("TEA", LIS=100, BER=100)
    held = [buyer(("TEA", 1), ("CUP", 1), country="DE")() for _ in range(20)]

    def release(order_id: UUID) -> Callable[[], None]:
        def give_back() -> None:
            with unit_of_work():
                reservations.release_stock(order_id=order_id)

        return give_back

    givers = [release(order_id) for order_id in held]
    results = race([*givers, *[buyer(("CUP", 1), ("TEA", 1), country="DE")] * 20])
    assert outcomes(results) == {"NoneType": 20, "UUID": 20}
    assert goods.level("TEA", "BER") == goods.level("CUP", "BER") == (100, 20)


def test_buying_and_counting_at_once_loses_neither():
    goods.stock("TEA", LIS=100)

    def count() -> int:
        with unit_of_work():
            return stock.set_stock(sku="TEA", warehouse="LIS", on_hand=90, reason="counted")

    results = race([count, *[buyer(("TEA", 1))] * 20])
    assert outcomes(results) == {"int": 1, "UUID": 20}
    assert goods.level("TEA", "LIS") == (90, 20)


def test_a_parcel_collected_twice_at_once_leaves_the_shelf_once():
    goods.stock("TEA", LIS=10)
    order_id = goods.reserve(TEA=3)
    with unit_of_work():
        reservations.allocate_stock(order_id=order_id)
        consignment = Consignment.objects.get(order_id=order_id)
        consignment.advance("booking")
        settlement.plan_shipments(consignment=consignment)
        parcel = consignment.shipments.get()
        parcel.advance("label_pending")
        parcel.advance("ready", label_id="lbl_1")

    def collect() -> bool:
        with unit_of_work():
            locked = Consignment.locked(order_id)
            assert locked is not None
            seen = locked.shipments.get()
            if not seen.gone:
                settlement.hand_over(consignment=locked, shipment=seen, label={})
                settlement.settle(consignment=locked)
                return True
            return False

    assert sorted(race([collect] * 10)) == [False] * 9 + [True]
    assert goods.level("TEA", "LIS") == (7, 0)
