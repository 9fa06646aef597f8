"""Each rule about orders finds the violation that is meant for it, and nothing in a healthy database."""

from uuid import UUID

import pytest
from django.db import connection

from fulfillment.models import Shipment
from orders import lifecycle
from outbox.invariants import verify
from outbox.publishing import unit_of_work
from tests.shop import CUP, TEA, add_product

pytestmark = pytest.mark.requirement("M38")


def broken() -> set[str]:
    return {verdict.name for verdict in verify() if verdict.violations and verdict.name.startswith("orders.")}


def sql(statement: str, **parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.fixture
def order(shop) -> UUID:
    return UUID(shop.placed((TEA, 2), (CUP, 1))["id"][4:])


@pytest.fixture
def waiting(shop) -> UUID:
    """An order of three pots, of which one is there."""
    add_product("POT-CAST-500", "45.00", 1, backorder=True)
    return UUID(shop.placed(("POT-CAST-500", 3))["id"][4:])


def walk(order: UUID, *statuses: str) -> None:
    for status in statuses:
        sql("UPDATE orders_order SET status = %(status)s WHERE id = %(id)s", status=status, id=order)


def test_a_healthy_shop_breaks_nothing(shop, order):
    assert broken() == set()
    shop.post(f"orders/ord_{order.hex}/cancellation", {"reason": "No"})
    assert broken() == set()


def test_a_total_that_is_not_the_sum_is_found(order):
    sql("UPDATE orders_order SET total = total + 1")
    assert broken() == {"orders.total_is_the_sum_of_lines", "orders.intended_payment_is_the_total"}


def test_overselling_is_found(order):
    sql("UPDATE fulfillment_reservation SET quantity = 1 WHERE quantity = 2")
    assert broken() == {"orders.lines_are_reserved"}


def test_an_order_that_waits_for_more_than_it_lacks_is_found(waiting):
    assert broken() == set()
    sql("UPDATE fulfillment_reservation SET quantity = 3 WHERE status = 'backordered'")
    assert broken() == {"orders.lines_are_reserved"}


def test_a_line_that_neither_has_its_goods_nor_waits_for_them_is_found(waiting):
    sql("UPDATE fulfillment_reservation SET status = 'released' WHERE status = 'backordered'")
    assert broken() == {"orders.lines_are_reserved"}


def test_a_dead_order_that_still_waits_is_found(waiting):
    sql("UPDATE fulfillment_reservation SET status = 'released' WHERE status = 'held'")
    with unit_of_work():
        lifecycle.reject_order(order_id=waiting, code="payment_declined", reason="Declined.")
    assert "orders.lines_are_reserved" in broken()


def test_an_order_that_waits_and_does_not_say_so_is_found(waiting):
    sql("UPDATE orders_order SET fulfillment_status = 'reserved'")
    assert broken() == {"orders.waiting_is_shown"}


def test_a_rejected_order_that_still_holds_money_and_stock_is_found(order):
    with unit_of_work():
        lifecycle.reject_order(order_id=order, code="payment_declined", reason="Declined.")
    assert broken() >= {"orders.lines_are_reserved", "orders.dead_orders_leave_nothing", "orders.carried_by_a_saga"}


def test_a_completed_order_that_was_not_paid_is_found(order):
    with unit_of_work():
        lifecycle.confirm_order(order_id=order)
        lifecycle.complete_order(order_id=order)
    assert broken() >= {"orders.money_fits_goods", "orders.carried_by_a_saga"}


def test_money_taken_before_anything_has_left_is_found(order):
    sql("UPDATE payments_payment SET authorised_amount = amount, captured_amount = amount")
    assert broken() == {"orders.money_fits_goods"}


def test_a_parcel_that_leaves_unpaid_is_found(order):
    Shipment.objects.create(consignment_id=order, warehouse_id="LIS", weight_grams=1)
    sql("UPDATE fulfillment_shipment SET handed_over_at = now()")
    assert broken() == {"orders.parcels_leave_paid"}


def test_an_order_over_another_sum_than_its_payment_is_found(order):
    sql("UPDATE payments_payment SET currency = 'USD'")
    assert broken() == {"orders.intended_payment_is_the_total"}


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM outbox_sagastep; DELETE FROM outbox_saga", "UPDATE outbox_saga SET deadline_at = NULL",
     "UPDATE outbox_saga SET status = 'completed'", "UPDATE outbox_saga SET status = 'suspended', deadline_at = NULL"],
)  # fmt: skip
def test_an_order_that_nothing_carries_on_is_found(order, damage):
    sql(damage)
    assert "orders.carried_by_a_saga" in broken()


def test_a_status_that_was_changed_behind_the_machines_back_is_found(order):
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    sql("ALTER TABLE orders_order DISABLE TRIGGER USER")
    walk(order, "confirmed")
    sql("ALTER TABLE orders_order ENABLE TRIGGER USER")
    assert broken() == {"orders.status_is_the_last_transition"}


def test_a_transition_that_was_not_told_is_found(order):
    walk(order, "confirmed")
    assert broken() == {"orders.transitions_are_told"}


def test_two_keys_for_one_order_are_found(order):
    sql(
        """
        INSERT INTO outbox_idempotencyrecord
               (scope, key, request_hash, response_status, response_headers, response_body, expires_at)
        SELECT scope, 'other', request_hash, response_status, response_headers, response_body, expires_at
        FROM outbox_idempotencyrecord
        """
    )
    assert broken() == {"orders.one_key_one_order"}


def test_a_key_whose_order_is_gone_is_found(order):
    sql(
        "UPDATE outbox_idempotencyrecord SET response_body = convert_to(%(body)s, 'UTF8')",
        body='{"id": "ord_' + "0" * 32 + '"}',
    )
    assert broken() == {"orders.one_key_one_order"}
