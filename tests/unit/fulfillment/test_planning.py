"""Which warehouse gives what."""

from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment.errors import InsufficientStock, Shortage
from fulfillment.planning import plan
from fulfillment.values import ReserveLine, StockLevel

COUNTRIES = {"LIS": "PT", "BER": "DE", "OSL": "NO"}


def line(sku: str, quantity: int, line_id: UUID | None = None) -> ReserveLine:
    return ReserveLine(line_id=line_id or uuid4(), sku=sku, quantity=quantity, weight_grams=100)


def level(sku: str, warehouse: str, on_hand: int, reserved: int = 0) -> StockLevel:
    return StockLevel(sku, warehouse, COUNTRIES[warehouse], on_hand, reserved)


def taken(takes) -> list[tuple[str, str, int]]:
    return [(take.line.sku, take.warehouse, take.quantity) for take in takes]


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


@given(stocks, baskets, st.sampled_from(["PT", "DE", "FR"]))
def test_a_plan_serves_every_line_whole_from_what_is_there_or_there_is_none(stock, basket, country):
    levels = [level(sku, code, on_hand, reserved) for (sku, code), (on_hand, reserved) in stock.items()]
    lines = [line(sku, quantity) for sku, quantity in basket]
    available, wanted = Counter(), Counter()
    for each in levels:
        available[each.sku] += each.available
    for sku, quantity in basket:
        wanted[sku] += quantity
    short = {sku for sku in wanted if wanted[sku] > available[sku]}
    if short:
        with pytest.raises(InsufficientStock) as refused:
            plan(lines, levels, country=country)
        assert {shortage.sku for shortage in refused.value.shortages} == short
        return
    takes = plan(lines, levels, country=country)
    by_line, by_shelf = Counter(), Counter()
    for take in takes:
        by_line[take.line_id] += take.quantity
        by_shelf[take.line.sku, take.warehouse] += take.quantity
    assert by_line == {each.line_id: each.quantity for each in lines}
    shelves = {(each.sku, each.warehouse): each.available for each in levels}
    assert all(quantity <= shelves[place] for place, quantity in by_shelf.items())
    whole = [c for c in COUNTRIES if all(shelves.get((sku, c), 0) >= quantity for sku, quantity in wanted.items())]
    assert not whole or len({take.warehouse for take in takes}) == 1
