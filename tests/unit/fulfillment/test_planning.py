"""Which warehouse gives what."""

from collections import Counter
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment.errors import InsufficientStock, Shortage
from fulfillment.planning import Share, Waiter, plan, share_out
from fulfillment.values import ReserveLine, StockLevel

COUNTRIES = {"LIS": "PT", "BER": "DE", "OSL": "NO"}


def line(sku: str, quantity: int, *, may_wait: bool = False) -> ReserveLine:
    return ReserveLine(line_id=uuid4(), sku=sku, quantity=quantity, weight_grams=100, may_wait=may_wait)


def level(sku: str, warehouse: str, on_hand: int, reserved: int = 0) -> StockLevel:
    return StockLevel(sku, warehouse, COUNTRIES[warehouse], on_hand, reserved)


def taken(planned) -> list[tuple[str, str, int]]:
    assert not planned.awaited
    return [(take.line.sku, take.warehouse, take.quantity) for take in planned.takes]


def test_one_warehouse_that_has_everything_is_preferred_to_two_that_share():
    levels = [level("TEA", "LIS", 9), level("TEA", "BER", 2), level("CUP", "BER", 1), level("CUP", "LIS", 0)]
    assert taken(plan([line("TEA", 2), line("CUP", 1)], levels, country="PT")) == [("TEA", "BER", 2), ("CUP", "BER", 1)]


def test_among_warehouses_that_have_everything_the_one_in_the_customers_country_gives():
    levels = [level("TEA", "LIS", 3), level("TEA", "BER", 900)]
    assert taken(plan([line("TEA", 3)], levels, country="PT")) == [("TEA", "LIS", 3)]
    assert taken(plan([line("TEA", 3)], levels, country="DE")) == [("TEA", "BER", 3)]
    assert taken(plan([line("TEA", 3)], levels, country="FR")) == [("TEA", "BER", 3)]


def test_a_line_comes_from_one_warehouse_when_the_order_cannot():
    levels = [level("TEA", "LIS", 5), level("CUP", "BER", 5)]
    assert taken(plan([line("TEA", 2), line("CUP", 2)], levels, country="PT")) == [("TEA", "LIS", 2), ("CUP", "BER", 2)]


def test_a_line_is_split_when_no_warehouse_has_all_of_it():
    levels = [level("TEA", "LIS", 3), level("TEA", "BER", 4)]
    assert taken(plan([line("TEA", 6)], levels, country="PT")) == [("TEA", "LIS", 3), ("TEA", "BER", 3)]


def test_what_is_reserved_for_others_is_not_given_again():
    with pytest.raises(InsufficientStock) as refused:
        plan([line("TEA", 3)], [level("TEA", "LIS", 9, reserved=7)], country="PT")
    assert refused.value.shortages == (Shortage("TEA", 3, 2),)


def test_lines_of_one_product_are_added_up_before_they_are_compared_with_the_stock():
    with pytest.raises(InsufficientStock) as refused:
        plan([line("TEA", 2), line("TEA", 2), line("CUP", 1)], [level("TEA", "LIS", 3)], country="PT")
    assert refused.value.shortages == (Shortage("TEA", 4, 3), Shortage("CUP", 1, 0))


stocks = st.dictionaries(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(sorted(COUNTRIES))),
    st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda pair: (max(pair), min(pair))),
)
baskets = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 6)), min_size=1, max_size=6)


@given(stocks, baskets, st.sampled_from(["PT", "DE", "FR"]), st.sets(st.sampled_from("ABC")))
def test_a_plan_serves_every_line_whole_from_what_is_there_but_for_what_may_wait_or_there_is_none(
    stock, basket, country, waits
):
    levels = [level(sku, code, on_hand, reserved) for (sku, code), (on_hand, reserved) in stock.items()]
    lines = [line(sku, quantity, may_wait=sku in waits) for sku, quantity in basket]
    available, wanted = Counter(), Counter()
    for each in levels:
        available[each.sku] += each.available
    for sku, quantity in basket:
        wanted[sku] += quantity
    short = {sku for sku in wanted if wanted[sku] > available[sku]} - waits
    if short:
        with pytest.raises(InsufficientStock) as refused:
            plan(lines, levels, country=country)
        assert {shortage.sku for shortage in refused.value.shortages} == short
        return
    takes, awaited = plan(lines, levels, country=country)
    by_line, by_shelf = Counter(), Counter()
    for take in takes:
        by_line[take.line_id] += take.quantity
        by_shelf[take.line.sku, take.warehouse] += take.quantity
    for each in awaited:
        by_line[each.line_id] += each.quantity
    assert by_line == {each.line_id: each.quantity for each in lines}
    missing = Counter()
    for each in awaited:
        missing[each.sku] += each.quantity
    assert missing == {sku: wanted[sku] - available[sku] for sku in wanted if wanted[sku] > available[sku]}
    shelves = {(each.sku, each.warehouse): each.available for each in levels}
    assert all(quantity <= shelves[place] for place, quantity in by_shelf.items())
    whole = [c for c in COUNTRIES if all(shelves.get((sku, c), 0) >= quantity for sku, quantity in wanted.items())]
    assert awaited or not whole or len({take.warehouse for take in takes}) == 1


def test_of_what_may_wait_all_that_is_there_is_taken_and_the_rest_is_waited_for():
    levels = [level("TEA", "LIS", 3), level("TEA", "BER", 1), level("CUP", "BER", 5)]
    takes, awaited = plan([line("TEA", 6, may_wait=True), line("CUP", 2)], levels, country="PT")
    assert [(take.line.sku, take.warehouse, take.quantity) for take in takes] == [
        ("TEA", "LIS", 3),
        ("TEA", "BER", 1),
        ("CUP", "BER", 2),
    ]
    assert [(each.sku, each.quantity) for each in awaited] == [("TEA", 2)]


def test_a_product_that_was_never_in_stock_is_waited_for_whole():
    takes, awaited = plan([line("TEA", 6, may_wait=True)], [], country="PT")
    assert (takes, [(each.sku, each.quantity) for each in awaited]) == ([], [("TEA", 6)])


def test_one_line_that_may_not_wait_refuses_the_whole_order_and_only_it_is_named():
    with pytest.raises(InsufficientStock) as refused:
        plan([line("TEA", 6, may_wait=True), line("CUP", 2)], [level("CUP", "LIS", 1)], country="PT")
    assert refused.value.shortages == (Shortage("CUP", 2, 1),)


ANNA, BEN = uuid4(), uuid4()


def test_who_came_first_has_all_that_comes_until_it_is_enough():
    waiting = [Waiter(ANNA, "TEA", 5), Waiter(BEN, "TEA", 1)]
    assert share_out(waiting, [level("TEA", "LIS", 3)]) == [Share(ANNA, "LIS", 3)]
    assert share_out(waiting, [level("TEA", "LIS", 6)]) == [Share(ANNA, "LIS", 5), Share(BEN, "LIS", 1)]


def test_what_no_warehouse_has_whole_comes_from_several():
    levels = [level("TEA", "BER", 2), level("TEA", "LIS", 9, reserved=5)]
    assert share_out([Waiter(ANNA, "TEA", 5)], levels) == [Share(ANNA, "BER", 2), Share(ANNA, "LIS", 3)]


def test_a_line_for_one_product_holds_up_no_line_for_another():
    waiting = [Waiter(ANNA, "CUP", 1), Waiter(BEN, "TEA", 1)]
    assert share_out(waiting, [level("CUP", "LIS", 0), level("TEA", "LIS", 1)]) == [Share(BEN, "LIS", 1)]


lines_of_waiters = st.lists(st.builds(Waiter, st.uuids(), st.sampled_from("ABC"), st.integers(1, 9)), unique=True)


@given(lines_of_waiters, stocks)
def test_nothing_stays_free_while_somebody_waits_nobody_overtakes_and_nothing_is_given_twice(waiting, stock):
    levels = [level(sku, code, on_hand, reserved) for (sku, code), (on_hand, reserved) in stock.items()]
    got, left = Counter(), {(each.sku, each.warehouse): each.available for each in levels}
    sku_of = {waiter.id: waiter.sku for waiter in waiting}
    for share in share_out(waiting, levels):
        assert share.quantity > 0
        got[share.id] += share.quantity
        left[sku_of[share.id], share.warehouse] -= share.quantity
    assert all(pieces >= 0 for pieces in left.values())
    for place, waiter in enumerate(waiting):
        assert got[waiter.id] <= waiter.quantity
        if got[waiter.id] < waiter.quantity:
            assert not any(pieces for (sku, _), pieces in left.items() if sku == waiter.sku)
            assert not any(got[later.id] for later in waiting[place + 1 :] if later.sku == waiter.sku)
