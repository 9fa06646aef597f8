"""Each invariant finds the violation that it is meant for, and nothing else does."""

import pytest

from fulfillment import facade
from fulfillment.commands import BookShipments
from fulfillment.facade import Finding, ReturnWish
from outbox.invariants import verify
from outbox.publishing import unit_of_work
from tests.integration.fulfillment.goods import (
    ask,
    backorder,
    broken_rules,
    parcel,
    report,
    reservations,
    reserve,
    sql,
    stock,
)

pytestmark = pytest.mark.django_db(transaction=True)

UNGUARD = (
    "ALTER TABLE {table} DISABLE TRIGGER USER;"
    "ALTER TABLE fulfillment_stockitem DROP CONSTRAINT IF EXISTS fulfillment_reserved_on_hand;"
    "DROP INDEX IF EXISTS fulfillment_one_live_shipment"
)
STOCK, MOVEMENT = "fulfillment_stockitem", "fulfillment_stockmovement"
RESERVATION, SHIPMENT, CONSIGNMENT = "fulfillment_reservation", "fulfillment_shipment", "fulfillment_consignment"
RETURN, RETURN_LINE = "fulfillment_return", "fulfillment_returnline"


@pytest.fixture
def shipped(drain, order, carrier):
    """One order with a parcel that left and is back, and one that is ready; one that holds, and two that wait."""
    stock("POT", LIS=5)
    reserve(POT=1)
    stock("MUG", LIS=1)
    backorder(MUG=2)
    backorder(MUG=1)
    ask(BookShipments(order_id=order))
    drain()
    ask(report(parcel(order, "LIS"), "collected", 1))
    drain()
    send_back(order, parcel(order, "LIS"))
    return order


def send_back(order, gone) -> None:
    """Let one sellable piece of a parcel come back."""
    (sku,) = {row[0] for row in reservations(order) if row[1] == gone.warehouse_id}
    with unit_of_work():
        returned = facade.request_return(order_id=order, wishes=[ReturnWish(sku=sku, quantity=1, reason="No")])
        facade.receive_return(return_id=returned.id, warehouse="LIS")
        facade.inspect_return(return_id=returned.id, findings=[Finding(sku=sku, sellable=1, damaged=0)])


SEEDS = {
    "stock_within_bounds": (STOCK, "UPDATE {table} SET on_hand = 0 WHERE sku = 'POT'"),
    "reserved_is_what_orders_hold": (STOCK, "UPDATE {table} SET reserved = 2 WHERE sku = 'POT'"),
    "on_hand_is_the_sum_of_movements": (STOCK, "UPDATE {table} SET on_hand = 6 WHERE sku = 'POT'"),
    "one_live_parcel": (
        SHIPMENT,
        "INSERT INTO {table} (id, order_id, warehouse_id, weight_grams, status) "
        "SELECT gen_random_uuid(), order_id, warehouse_id, 1, 'ready' FROM {table} WHERE status = 'ready'",
    ),
    "what_left_is_consumed": (SHIPMENT, "UPDATE {table} SET status = 'in_transit' WHERE status = 'ready'"),
    "what_left_is_moved": (
        MOVEMENT,
        "UPDATE {table} SET kind = 'count' WHERE kind = 'hand_over'",
    ),
    "cancelled_leaves_nothing": (CONSIGNMENT, "UPDATE {table} SET status = 'cancelled' WHERE status = 'booked'"),
    "status_fits_reservations": (CONSIGNMENT, "UPDATE {table} SET status = 'allocated' WHERE status = 'reserved'"),
    "nothing_is_free_while_somebody_waits": (
        STOCK,
        "UPDATE {table} SET on_hand = 2 WHERE sku = 'MUG';"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind) "
        "VALUES (gen_random_uuid(), 'MUG', 'LIS', 1, 'count')",
    ),
    "nobody_overtakes": (
        RESERVATION,
        "UPDATE {table} SET status = 'allocated', warehouse_id = 'LIS' "
        "WHERE place = (SELECT max(place) FROM {table} WHERE sku = 'MUG');"
        "UPDATE fulfillment_stockitem SET on_hand = 2, reserved = 2 WHERE sku = 'MUG';"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind) "
        "VALUES (gen_random_uuid(), 'MUG', 'LIS', 1, 'count')",
    ),
    "filled_backorders_go_on": (
        RESERVATION,
        "UPDATE {table} SET status = 'allocated', warehouse_id = 'LIS' WHERE status = 'backordered';"
        "UPDATE fulfillment_stockitem SET on_hand = 3, reserved = 3 WHERE sku = 'MUG';"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind) "
        "VALUES (gen_random_uuid(), 'MUG', 'LIS', 2, 'count')",
    ),
    "no_more_comes_back_than_left": (RETURN_LINE, "UPDATE {table} SET quantity = 9, refused = 8"),
    "only_sellable_returns_are_restocked": (RETURN_LINE, "UPDATE {table} SET sellable = 0, damaged = 1"),
    "findings_fit_the_return": (RETURN, "UPDATE {table} SET status = 'received'"),
}
ALSO = {
    "stock_within_bounds": {"on_hand_is_the_sum_of_movements"},
    "nobody_overtakes": {"filled_backorders_go_on"},
}
OF_STATUS = {
    "a hold that is firm before its order": "UPDATE {table} SET status = 'allocated' WHERE sku = 'POT'",
    "a hold of an order that waits, made firm": "UPDATE {table} SET status = 'allocated' WHERE sku = 'MUG' "
    "AND status = 'held'",
    "one that waits for an order that does not": "UPDATE {table} SET status = 'backordered', warehouse_id = NULL, "
    "expires_at = NULL WHERE sku = 'POT'; UPDATE fulfillment_stockitem SET reserved = 0, on_hand = 0 WHERE sku = 'POT';"
    "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind) "
    "VALUES (gen_random_uuid(), 'POT', 'LIS', -5, 'count')",
}


@pytest.mark.requirement("M38")
@pytest.mark.parametrize("name", SEEDS)
def test_a_violation_is_found_by_the_invariant_meant_for_it(shipped, name):
    assert broken_rules() == set()
    table, statement = SEEDS[name]
    seed = ";".join([UNGUARD, statement]).format(table=table)
    assert found_with(seed) == {name, *ALSO.get(name, ())}


@pytest.mark.requirement("M38")
@pytest.mark.parametrize("case", OF_STATUS)
def test_reservations_that_do_not_fit_their_orders_status_are_found(shipped, case):
    seed = ";".join([UNGUARD, OF_STATUS[case]]).format(table=RESERVATION)
    assert found_with(seed) == {"status_fits_reservations"}


def test_every_invariant_of_fulfilment_has_been_seen_to_fire(db):
    ours = {verdict.name for verdict in verify() if verdict.name.startswith("fulfillment.")}
    assert ours == {f"fulfillment.{name}" for name in SEEDS}


def found_with(seed: str) -> set[str]:
    """What is broken after `seed`; its changes, of the schema too, are rolled back."""
    sql("BEGIN")
    try:
        for statement in seed.split(";"):
            sql(statement)
        return broken_rules()
    finally:
        sql("ROLLBACK")
