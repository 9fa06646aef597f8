"""Counting stock, promising it, and giving it back."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, IntegrityError

from fulfillment import facade
from fulfillment.commands import AllocateStock, ReleaseStock
from fulfillment.errors import InsufficientStock, ShipmentsLive, Shortage, StockBelowReserved, UnknownWarehouse
from fulfillment.models import Consignment, Reservation, StockMovement
from fulfillment.services import reservations as services
from fulfillment.states import ConsignmentStatus
from outbox.errors import IllegalTransition, NoUnitOfWork
from outbox.models import AuditEntry, Transition
from outbox.publishing import unit_of_work
from tests.integration.fulfillment.goods import (
    address,
    ask,
    level,
    lines,
    reservations,
    reserve,
    sql,
    state,
    stock,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]


@pytest.mark.requirement("M3")
def test_reserving_takes_from_what_is_sellable_and_leaves_what_is_on_hand(statements):
    stock("TEA", LIS=5, BER=2)
    order_id = uuid4()
    with unit_of_work():
        statements.clear()
        facade.reserve(order_id=order_id, lines=lines(TEA=3), ship_to=address())
        assert len(statements) == 2
    assert reservations(order_id) == [("TEA", "LIS", 3, "held")]
    assert (level("TEA", "LIS"), level("TEA", "BER")) == ((5, 3), (2, 0))
    assert facade.availability(["TEA", "CUP"]) == {"TEA": 4, "CUP": 0}
    assert Consignment.objects.get(order_id=order_id).ship_to["postal_code"] == "1100-148"


def test_a_hold_lasts_as_long_as_the_settings_say_by_the_databases_clock(settings):
    settings.RESERVATION_SECONDS = 120
    stock("TEA", LIS=1)
    held = Reservation.objects.get(consignment_id=reserve(TEA=1))
    assert held.expires_at - held.created_at < timedelta(seconds=120.5)
    assert held.expires_at - held.created_at > timedelta(seconds=119.5)


def test_too_little_of_one_product_reserves_nothing_of_any():
    stock("TEA", LIS=5)
    stock("CUP", LIS=1, BER=1)
    with pytest.raises(InsufficientStock) as refused:
        reserve(TEA=1, CUP=3)
    assert refused.value.shortages == (Shortage("CUP", 3, 2),)
    assert (level("TEA", "LIS"), level("CUP", "LIS")) == ((5, 0), (1, 0))
    assert not Consignment.objects.exists()


def test_a_line_that_no_warehouse_has_whole_is_held_in_two():
    stock("TEA", LIS=3, BER=4)
    order_id = reserve(TEA=6)
    assert reservations(order_id) == [("TEA", "BER", 3, "held"), ("TEA", "LIS", 3, "held")]


def test_a_stale_plan_is_made_anew_from_the_locked_rows(monkeypatch):
    stock("TEA", LIS=2, BER=2)
    fresh = facade.stock_levels(["TEA"])
    reserve(TEA=2)
    shown = [fresh, None]
    read = services.stock_levels
    monkeypatch.setattr(services, "stock_levels", lambda skus: shown.pop(0) or read(skus))
    assert reservations(reserve(TEA=1)) == [("TEA", "BER", 1, "held")]
    assert level("TEA", "LIS") == (2, 2)


def test_an_order_reserves_once():
    stock("TEA", LIS=5)
    order_id = reserve(TEA=1)
    with pytest.raises(IntegrityError):
        reserve(TEA=1, order_id=order_id)
    assert level("TEA", "LIS") == (5, 1)


def test_allocating_makes_holds_firm_and_says_so_again_when_asked_again(drain):
    stock("TEA", LIS=5)
    order_id = reserve(TEA=2)
    ask(AllocateStock(order_id=order_id), AllocateStock(order_id=order_id))
    drain()
    assert reservations(order_id) == [("TEA", "LIS", 2, "allocated")]
    assert told(order_id) == ["stock_allocated", "stock_allocated"]
    assert level("TEA", "LIS") == (5, 2)
    assert state(order_id) == "allocated"


@pytest.mark.parametrize("allocated", [False, True])
def test_released_stock_can_be_sold_again_once_however_often_it_is_released(drain, allocated):
    stock("TEA", LIS=5)
    reserve(TEA=1)
    order_id = reserve(TEA=3)
    if allocated:
        ask(AllocateStock(order_id=order_id))
        drain()
    ask(*[ReleaseStock(order_id=order_id, reason="declined")] * 2)
    drain()
    assert reservations(order_id) == [("TEA", "LIS", 3, "released")]
    assert level("TEA", "LIS") == (5, 1)
    assert told(order_id)[-2:] == ["stock_released", "stock_released"]


def test_nothing_is_allocated_after_a_release(drain):
    stock("TEA", LIS=5)
    order_id = reserve(TEA=3)
    ask(ReleaseStock(order_id=order_id, reason="declined"))
    drain()
    ask(AllocateStock(order_id=order_id))
    drain()
    assert told(order_id) == ["stock_released", "stock_allocation_failed"]
    assert level("TEA", "LIS") == (5, 0)


def test_releasing_an_order_that_holds_nothing_is_answered(drain):
    order_id = uuid4()
    ask(ReleaseStock(order_id=order_id, reason="declined"))
    drain()
    assert told(order_id) == ["stock_released"]


@pytest.mark.requirement("M16")
def test_a_hold_over_its_time_stays_until_its_order_gives_it_up_and_ends_as_expired(drain):
    stock("TEA", LIS=5)
    order_id = reserve(TEA=3)
    sql("UPDATE fulfillment_reservation SET expires_at = now() - interval '1 second'")
    assert level("TEA", "LIS") == (5, 3)
    ask(ReleaseStock(order_id=order_id, reason="too late"))
    drain()
    assert reservations(order_id) == [("TEA", "LIS", 3, "expired")]
    assert level("TEA", "LIS") == (5, 0)


def test_stock_in_parcels_that_may_leave_is_not_released():
    stock("TEA", LIS=5)
    order_id = reserve(TEA=3)
    with unit_of_work():
        services.allocate_stock(order_id=order_id)
        Consignment.objects.get(order_id=order_id).advance(ConsignmentStatus.BOOKING)
    with pytest.raises(ShipmentsLive), unit_of_work():
        services.release_stock(order_id=order_id)
    assert level("TEA", "LIS") == (5, 3)


def test_a_count_is_kept_with_its_difference_its_reason_and_its_author():
    stock("TEA", LIS=5)
    stock("TEA", LIS=5)
    with unit_of_work():
        assert facade.set_stock(sku="TEA", warehouse="LIS", on_hand=2, reason="three were wet") == -3
    assert list(StockMovement.objects.order_by("id").values_list("delta", "kind", "reason")) == [
        (5, "count", "given"),
        (-3, "count", "three were wet"),
    ]
    latest = AuditEntry.objects.order_by("-id")[0]
    assert (latest.subject, latest.before, latest.after) == ("stock:TEA@LIS", {"on_hand": 5}, {"on_hand": 2})


def test_a_count_below_what_is_promised_is_refused():
    stock("TEA", LIS=5)
    reserve(TEA=4)
    with pytest.raises(StockBelowReserved), unit_of_work():
        facade.set_stock(sku="TEA", warehouse="LIS", on_hand=3, reason="counted")
    assert level("TEA", "LIS") == (5, 4)


def test_a_count_in_an_unknown_warehouse_is_refused_with_the_known_ones():
    stock("TEA", LIS=5)
    with pytest.raises(UnknownWarehouse, match="Known: LIS"), unit_of_work():
        facade.set_stock(sku="TEA", warehouse="OSL", on_hand=3, reason="counted")


def test_the_command_sets_stock_and_refuses_in_sentences():
    stock("TEA", LIS=5)
    out = StringIO()
    call_command("set_stock", "TEA", "LIS", "8", stdout=out)
    assert out.getvalue() == "TEA in LIS: 8 on hand (+3).\n"
    assert level("TEA", "LIS") == (8, 0)
    with pytest.raises(CommandError, match="There is no warehouse 'OSL'"):
        call_command("set_stock", "TEA", "OSL", "8")
    with pytest.raises(CommandError, match="0 or more"):
        call_command("set_stock", "TEA", "LIS", "-1")


def test_services_refuse_to_run_outside_a_unit_of_work():
    with pytest.raises(NoUnitOfWork):
        facade.reserve(order_id=uuid4(), lines=lines(TEA=1), ship_to=address())


@pytest.mark.requirement("M6")
@pytest.mark.parametrize(
    "change", ["on_hand = -1", "reserved = -1", "reserved = on_hand + 1", "sku = 'CUP'"], ids=lambda change: change
)
def test_the_database_refuses_impossible_stock(change):
    stock("TEA", LIS=5)
    stock("CUP", LIS=5)
    with pytest.raises(IntegrityError):
        sql(f"UPDATE fulfillment_stockitem SET {change} WHERE sku = 'TEA'")


@pytest.mark.parametrize("statement", ["UPDATE fulfillment_stockmovement SET delta = 9", "DELETE FROM {}"])
def test_movements_cannot_be_rewritten(statement):
    stock("TEA", LIS=5)
    with pytest.raises(Error, match="append-only"):
        sql(statement.format("fulfillment_stockmovement"))


@pytest.mark.requirement("M26")
def test_an_illegal_transition_is_refused_by_the_code_and_by_the_database():
    stock("TEA", LIS=5)
    held = Reservation.objects.get(consignment_id=reserve(TEA=1))
    with pytest.raises(IllegalTransition):
        held.advance("consumed")
    with pytest.raises(IntegrityError, match="no way from held to consumed"):
        sql("UPDATE fulfillment_reservation SET status = 'consumed'")
    assert list(Transition.objects.filter(entity_id=held.id).values_list("from_state", "to_state")) == [("", "held")]
