"""Every invariant of every app finds the one violation that is meant for it; a healthy database breaks none."""

from dataclasses import dataclass

import pytest

from outbox.invariants import verify
from tests.integration.outbox.asking import sql
from tests.shop import TEA

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("M38")]

REJECT = """
    UPDATE outbox_saga SET status = 'compensated', deadline_at = NULL, finished_at = now();
    UPDATE orders_order SET status = 'rejected';
    INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)
    SELECT gen_random_uuid(), 'orders.order_rejected', 1, 'event', 'order', id, '{}', correlation_id FROM orders_order
"""
RELEASE = """
    UPDATE fulfillment_reservation SET status = 'released';
    UPDATE fulfillment_consignment SET status = 'released';
    UPDATE fulfillment_stockitem SET reserved = 0
"""
PARCEL = """
    INSERT INTO fulfillment_shipment (id, order_id, warehouse_id, weight_grams, status, handed_over_at)
    SELECT gen_random_uuid(), order_id, 'LIS', 1, '{status}', {handed_over_at} FROM fulfillment_consignment
"""
PLANNED = PARCEL.format(status="planned", handed_over_at="NULL")
OPERATION = """
    INSERT INTO payments_paymentoperation
           (id, payment_id, kind, status, amount, settled_amount, settled_at, called_at, key_number, idempotency_key,
            provider_reference)
    SELECT gen_random_uuid(), id, '{kind}', '{status}', amount, {amount}, now(), now() - interval '1 hour', 1,
           gen_random_uuid(), {reference}
    FROM payments_payment
"""


def booked(kind: str, amount: str, reference: str = "NULL") -> str:
    return OPERATION.format(kind=kind, status="succeeded", amount=amount, reference=reference)


WAITER = """
    INSERT INTO fulfillment_consignment (id, order_id, status, ship_to)
    VALUES ('{order}', '{order}', 'backordered', '{{}}');
    INSERT INTO fulfillment_reservation (id, order_id, line_id, sku, quantity, weight_grams, status)
    VALUES ('{order}', '{order}', '{order}', '{sku}', 1, 1, 'backordered')
"""
FIRST, SECOND = (WAITER.format(order=f"00000000-0000-7000-8000-00000000000{n}", sku="NEVER-STOCKED") for n in (1, 2))
IN_ORDER = """
    INSERT INTO outbox_ordering_key (consumer, key, last) VALUES ('lab.turn', 'k', 2);
    INSERT INTO outbox_delivery (message_id, consumer, ordering_key, place, state)
    SELECT id, 'lab.turn', 'k', row_number() OVER (ORDER BY id), '{state}' FROM outbox_message LIMIT {count}
"""

TOLD = """
    INSERT INTO orders_customerfeed (customer_id, last_position) SELECT customer_id, 1 FROM orders_order;
    INSERT INTO orders_publicevent
           (id, customer_id, order_id, type, version, sequence, position, occurred_at, created_at, data)
    SELECT gen_random_uuid(), customer_id, id, 'order.placed', 1, 1, 1, now(), now(), '{}' FROM orders_order
"""
SENT_BACK = """
    INSERT INTO fulfillment_return (id, order_id, status)
    SELECT {id}, order_id, '{status}' FROM fulfillment_consignment;
    INSERT INTO fulfillment_returnline (id, return_id, line_id, sku, quantity, reason)
    SELECT gen_random_uuid(), r.id, l.id, l.sku, 1, '' FROM fulfillment_return r, orders_orderline l
"""
REQUESTED = SENT_BACK.format(id="gen_random_uuid()", status="requested")
REJECTED = SENT_BACK.format(id="gen_random_uuid()", status="rejected")
WITHOUT_SAGA = frozenset({"orders.returns_are_carried_by_a_saga"})


@dataclass(frozen=True)
class Seed:
    """A violation. `unguarded` are the tables whose triggers must look away, `without` the constraints in its way."""

    damage: str
    unguarded: tuple[str, ...] = ()
    without: str = ""
    also: frozenset[str] = frozenset()
    """Other rules that the same damage cannot help breaking."""


SEEDS = {
    "outbox.finished_or_pending": Seed(
        "INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms)"
        " SELECT message_id, consumer, 1, 1 FROM outbox_delivery LIMIT 1"
    ),
    "outbox.nothing_overdue": Seed("UPDATE outbox_delivery SET enqueued_at = now() - interval '61 s'"),
    "outbox.delivery_has_message": Seed(
        "INSERT INTO outbox_delivery (message_id, consumer) VALUES (gen_random_uuid(), 'lab.note')"
    ),
    "outbox.dead_letters_explained": Seed("UPDATE outbox_delivery SET state = 'dead', died_at = now()"),
    "outbox.held_behind_another": Seed(IN_ORDER.format(state="held", count=1)),
    "outbox.one_at_a_time": Seed(IN_ORDER.format(state="ready", count=2)),
    "outbox.ordering_keys_kept": Seed(IN_ORDER.format(state="ready", count=0)),
    "outbox.history_is_a_chain": Seed(
        "INSERT INTO outbox_transition (machine, entity_id, seq, from_state, to_state)"
        " VALUES ('lab', gen_random_uuid(), 1, 'somewhere', 'else')"
    ),
    "outbox.no_card_numbers": Seed(
        "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
        " VALUES (gen_random_uuid(), 'lab.noted', 1, 'event', 'bench', gen_random_uuid(),"
        """ '{"note": "4242424242424242"}', gen_random_uuid())"""
    ),
    "orders.total_is_the_sum_of_lines": Seed(
        "UPDATE orders_orderline SET unit_price = unit_price + 1, total = total + quantity"
    ),
    "orders.lines_are_reserved": Seed(
        "UPDATE fulfillment_reservation SET quantity = 1;"
        "UPDATE fulfillment_stockitem SET reserved = 1 WHERE reserved = 2"
    ),
    "orders.waiting_is_shown": Seed(
        "UPDATE fulfillment_reservation SET status = 'backordered', warehouse_id = NULL, expires_at = NULL;"
        "UPDATE fulfillment_consignment SET status = 'backordered';"
        f"UPDATE fulfillment_stockitem SET reserved = 0, on_hand = 0 WHERE sku = '{TEA}';"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind)"
        f" SELECT gen_random_uuid(), sku, warehouse_id, -sum(delta), 'count' FROM fulfillment_stockmovement"
        f" WHERE sku = '{TEA}' GROUP BY sku, warehouse_id",
        unguarded=("fulfillment_reservation", "fulfillment_consignment"),
    ),
    "orders.money_fits_goods": Seed(
        "UPDATE payments_payment SET authorised_amount = amount, captured_amount = amount",
        also=frozenset({"payments.amounts_are_sums"}),
    ),
    "orders.parcels_leave_paid": Seed(PARCEL.format(status="planned", handed_over_at="now()")),
    "orders.dead_orders_leave_nothing": Seed(f"{RELEASE}; {REJECT}"),
    "orders.intended_payment_is_the_total": Seed("UPDATE payments_payment SET currency = 'USD'"),
    "orders.carried_by_a_saga": Seed("UPDATE outbox_saga SET deadline_at = NULL"),
    "orders.no_hold_outlives_its_order": Seed(
        f"{REJECT}; UPDATE payments_payment SET status = 'voided'", also=frozenset({"orders.lines_are_reserved"})
    ),
    "orders.status_is_the_last_transition": Seed(
        "UPDATE orders_order SET status = 'confirmed'", unguarded=("orders_order",)
    ),
    "orders.transitions_are_told": Seed("UPDATE orders_order SET status = 'confirmed'"),
    "orders.one_key_one_order": Seed(
        """UPDATE outbox_idempotencyrecord
           SET response_body = convert_to('{"id": "ord_' || repeat('0', 32) || '"}', 'UTF8')"""
    ),
    "orders.returns_are_carried_by_a_saga": Seed(REJECTED, unguarded=("fulfillment_return",)),
    "orders.refunds_fit_returns": Seed(
        OPERATION.format(kind="refund", status="failed", amount="NULL", reference="NULL")
        + ";"
        + SENT_BACK.format(id="(SELECT id FROM payments_paymentoperation WHERE kind = 'refund')", status="rejected"),
        unguarded=("fulfillment_return", "payments_paymentoperation"),
        also=WITHOUT_SAGA,
    ),
    "orders.returned_is_shown": Seed("UPDATE orders_order SET fulfillment_status = 'returned'"),
    "fulfillment.no_more_comes_back_than_left": Seed(REQUESTED, also=WITHOUT_SAGA),
    "fulfillment.findings_fit_the_return": Seed(
        f"{REJECTED}; UPDATE fulfillment_returnline SET sellable = 0, damaged = 1, refused = 0",
        unguarded=("fulfillment_return",),
        also=WITHOUT_SAGA,
    ),
    "fulfillment.only_sellable_returns_are_restocked": Seed(
        f"{REJECTED};"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind, return_id, order_id)"
        " SELECT gen_random_uuid(), sku, 'LIS', 1, 'return', r.id, r.order_id"
        " FROM fulfillment_returnline JOIN fulfillment_return r ON r.id = return_id;"
        "UPDATE fulfillment_stockitem SET on_hand = on_hand + 1"
        f" WHERE warehouse_id = 'LIS' AND sku = '{TEA}'",
        unguarded=("fulfillment_return",),
        also=WITHOUT_SAGA,
    ),
    "payments.refunds_within_captures": Seed(
        f"{booked('refund', '1')}; UPDATE payments_payment SET refunded_amount = 1",
        unguarded=("payments_paymentoperation",),
        without="ALTER TABLE payments_payment DROP CONSTRAINT payments_refunded_within_captured",
    ),
    "payments.amounts_are_sums": Seed("UPDATE payments_payment SET authorised_amount = 5"),
    "payments.status_fits_amounts": Seed(
        f"{booked('authorise', 'amount')}; UPDATE payments_payment SET authorised_amount = amount",
        unguarded=("payments_paymentoperation",),
    ),
    "payments.one_live_per_order": Seed(
        "INSERT INTO payments_payment (id, order_id, status, amount, currency, payment_method)"
        " SELECT gen_random_uuid(), order_id, status, amount, currency, payment_method FROM payments_payment",
        without="DROP INDEX payments_one_live_per_order",
    ),
    "payments.reference_booked_once": Seed(
        ";".join([booked("void", "0", "'pi_1'")] * 2),
        unguarded=("payments_paymentoperation",),
        without="DROP INDEX payments_reference_booked_once",
    ),
    "payments.calls_are_owned": Seed(
        f"DELETE FROM outbox_delivery; {OPERATION}".format(
            kind="authorise", status="in_flight", amount="NULL", reference="NULL"
        ),
        unguarded=("payments_paymentoperation",),
    ),
    "payments.voids_end": Seed(
        "DELETE FROM outbox_delivery; UPDATE payments_payment SET void_requested_at = now() - interval '1 hour'"
    ),
    "payments.history_is_complete": Seed(
        "UPDATE payments_payment SET status = 'authorising'", unguarded=("payments_payment",)
    ),
    "fulfillment.stock_within_bounds": Seed(
        f"""INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind)
            SELECT gen_random_uuid(), sku, warehouse_id, 1 - on_hand, 'count' FROM fulfillment_stockitem
            WHERE sku = '{TEA}';
            UPDATE fulfillment_stockitem SET on_hand = 1 WHERE sku = '{TEA}'""",
        without="ALTER TABLE fulfillment_stockitem DROP CONSTRAINT fulfillment_reserved_on_hand",
    ),
    "fulfillment.reserved_is_what_orders_hold": Seed(
        f"UPDATE fulfillment_stockitem SET reserved = reserved + 1 WHERE sku = '{TEA}'"
    ),
    "fulfillment.on_hand_is_the_sum_of_movements": Seed(
        f"UPDATE fulfillment_stockitem SET on_hand = on_hand + 1 WHERE sku = '{TEA}'"
    ),
    "fulfillment.one_live_parcel": Seed(";".join([PLANNED] * 2), without="DROP INDEX fulfillment_one_live_shipment"),
    "fulfillment.what_left_is_consumed": Seed(
        PARCEL.format(status="handed_over", handed_over_at="NULL"), unguarded=("fulfillment_shipment",)
    ),
    "fulfillment.what_left_is_moved": Seed(
        """INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind, order_id, shipment_id)
           SELECT gen_random_uuid(), sku, warehouse_id, -1, 'hand_over', order_id, gen_random_uuid()
           FROM fulfillment_reservation;
           UPDATE fulfillment_stockitem SET on_hand = on_hand - 1 WHERE reserved = 2"""
    ),
    "fulfillment.cancelled_leaves_nothing": Seed(
        f"{PLANNED}; UPDATE fulfillment_consignment SET status = 'cancelled'", unguarded=("fulfillment_consignment",)
    ),
    "fulfillment.status_fits_reservations": Seed(
        "UPDATE fulfillment_consignment SET status = 'allocated'", unguarded=("fulfillment_consignment",)
    ),
    "orders.events_are_numbered_without_gaps": Seed(f"{TOLD}; UPDATE orders_publicevent SET sequence = 2"),
    "orders.events_are_told_or_pending": Seed(
        """DELETE FROM outbox_delivery WHERE consumer = 'orders.public_events';
           INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms)
           SELECT id, 'orders.public_events', 1, 1 FROM outbox_message WHERE name = 'orders.order_placed'"""
    ),
    "orders.events_are_offered": Seed(
        f"""{TOLD};
            INSERT INTO outbox_webhookendpoint (id, owner_id, url, events, ordered, secret, enabled, offers_since)
            SELECT gen_random_uuid(), customer_id, 'https://example.com', ARRAY['*'], false, '', true,
                   now() - interval '1 hour'
            FROM orders_order"""
    ),
    "fulfillment.nothing_is_free_while_somebody_waits": Seed(
        f"{FIRST}; UPDATE fulfillment_reservation SET sku = '{TEA}' WHERE status = 'backordered'"
    ),
    "fulfillment.nobody_overtakes": Seed(
        f"""{FIRST}; {SECOND};
            UPDATE fulfillment_reservation SET status = 'allocated', warehouse_id = 'LIS'
            WHERE place = (SELECT max(place) FROM fulfillment_reservation);
            UPDATE fulfillment_consignment SET status = 'reserved'
            WHERE order_id = (SELECT order_id FROM fulfillment_reservation WHERE status = 'allocated');
            INSERT INTO fulfillment_stockitem (id, sku, warehouse_id, on_hand, reserved)
            VALUES (gen_random_uuid(), 'NEVER-STOCKED', 'LIS', 1, 1);
            INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind)
            VALUES (gen_random_uuid(), 'NEVER-STOCKED', 'LIS', 1, 'count')"""
    ),
    "fulfillment.filled_backorders_go_on": Seed(
        f"{FIRST};"
        "UPDATE fulfillment_reservation SET status = 'allocated', warehouse_id = 'LIS' WHERE sku = 'NEVER-STOCKED';"
        "INSERT INTO fulfillment_stockitem (id, sku, warehouse_id, on_hand, reserved)"
        " VALUES (gen_random_uuid(), 'NEVER-STOCKED', 'LIS', 1, 1);"
        "INSERT INTO fulfillment_stockmovement (id, sku, warehouse_id, delta, kind)"
        " VALUES (gen_random_uuid(), 'NEVER-STOCKED', 'LIS', 1, 'count')",
    ),
}


def broken() -> set[str]:
    return {verdict.name for verdict in verify() if verdict.violations}


@pytest.fixture
def placed(shop) -> None:
    """One order, just placed, and nothing done about it yet."""
    shop.placed((TEA, 2))
    sql("SET CONSTRAINTS ALL IMMEDIATE")


def test_every_invariant_has_a_seed_and_every_seed_an_invariant(db):
    assert sorted(verdict.name for verdict in verify()) == sorted(SEEDS)


def test_an_empty_database_breaks_nothing(db):
    assert broken() == set()


def test_an_order_just_placed_breaks_nothing(placed):
    assert broken() == set()


@pytest.mark.parametrize("name", SEEDS)
def test_a_violation_is_found_by_the_invariant_meant_for_it(placed, name):
    seed = SEEDS[name]
    for table in seed.unguarded:
        sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    if seed.without:
        sql(seed.without)
    for statement in seed.damage.split(";"):
        sql(statement)
    assert broken() == {name, *seed.also}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE outbox_delivery SET state = 'scheduled', due_at = now() - interval '61 s'",
        "UPDATE outbox_delivery SET state = 'leased', lease_owner = gen_random_uuid(),"
        " lease_until = now() - interval '61 s'",
        "UPDATE outbox_delivery SET state = 'isolated', enqueued_at = now() - interval '61 s'",
    ],
)
def test_timers_leases_and_isolated_work_may_not_lie_about_either(placed, damage):
    sql(damage)
    assert broken() == {"outbox.nothing_overdue"}


def test_what_waits_for_an_open_breaker_is_not_overdue(placed):
    sql("UPDATE outbox_delivery SET enqueued_at = now() - interval '1 hour'")
    sql("DELETE FROM outbox_breaker")
    sql(
        "INSERT INTO outbox_breaker (destination, state, consumers)"
        " SELECT 'd', 'open', array_agg(consumer) FROM outbox_delivery"
    )
    assert broken() == set()


@pytest.mark.parametrize(
    "payload",
    [
        '{"a": "01890a5d-ac96-774b-bcce-b302099a8057"}',
        '{"a": 4242424242424243}',
        '{"a": "12.4242424242424242"}',
        '{"a": "424242424242"}',
        '{"label_id": "lbl_53213011367781894b8484c0"}',
    ],
)
def test_ids_amounts_and_other_numbers_are_no_card_numbers(db, payload):
    sql(
        "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
        " VALUES (gen_random_uuid(), 'lab.noted', 1, 'event', 'bench', gen_random_uuid(), %s, gen_random_uuid())",
        payload,
    )
    assert broken() == set()
