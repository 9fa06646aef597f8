"""Promising stock to orders, making the promise firm, keeping it, taking it back.

A hold is never taken away by a clock. `expires_at` says from when it may be given up; who gives it up is the order,
with ReleaseStock, because only there it is known whether a payment is under way. A hold that is released after its
time ends as expired, before as released. One that nobody gave up long after its time breaks an invariant.
"""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from fulfillment.errors import InsufficientStock, NothingReserved, ShipmentsLive
from fulfillment.events import StockAllocated, StockAllocationFailed, StockReleased
from fulfillment.models import Consignment, ReservationQuerySet, Shipment
from fulfillment.planning import Plan, plan
from fulfillment.selectors import stock_levels
from fulfillment.services.backorders import hand_out, stop_waiting
from fulfillment.services.shelves import Quantities, lock_products, locked_stock, take_turns
from fulfillment.services.stock import move_out
from fulfillment.states import ConsignmentStatus, ReservationStatus
from fulfillment.values import ReserveLine, ShippingAddress
from outbox.publishing import publish, require_unit_of_work

# Takes all or nothing. It locks every row of the SKUs, also in warehouses that were not chosen: when the levels turn
# out to have changed, the second plan works on rows that are held already, and asks for no lock out of order.
_RESERVE = """
WITH take AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(line_ids)s::uuid[], %(skus)s::text[], %(warehouses)s::text[],
                         %(quantities)s::int[], %(weights)s::int[])
        AS take (id, line_id, sku, warehouse_id, quantity, weight_grams)
), awaited AS (
    SELECT * FROM unnest(%(awaited_ids)s::uuid[], %(awaited_line_ids)s::uuid[], %(awaited_skus)s::text[],
                         %(awaited_quantities)s::int[], %(awaited_weights)s::int[])
        AS awaited (id, line_id, sku, quantity, weight_grams)
), wanted AS MATERIALIZED (
    SELECT sku, warehouse_id, sum(quantity)::int AS quantity FROM take GROUP BY sku, warehouse_id
), locked AS MATERIALIZED (
    SELECT sku, warehouse_id, on_hand - reserved AS available
    FROM fulfillment_stockitem WHERE sku = ANY(%(skus)s::text[]) OR sku = ANY(%(awaited_skus)s::text[])
    ORDER BY sku, warehouse_id FOR UPDATE
), verdict AS MATERIALIZED (
    SELECT coalesce(bool_and(coalesce(locked.available, 0) >= wanted.quantity), true) AND NOT EXISTS (
               SELECT FROM locked LEFT JOIN wanted USING (sku, warehouse_id)
               WHERE locked.sku = ANY(%(awaited_skus)s::text[]) AND locked.available > coalesce(wanted.quantity, 0)
           ) AS fits
    FROM wanted LEFT JOIN locked USING (sku, warehouse_id)
), taken AS (
    UPDATE fulfillment_stockitem AS item SET reserved = item.reserved + wanted.quantity
    FROM wanted, verdict
    WHERE verdict.fits AND item.sku = wanted.sku AND item.warehouse_id = wanted.warehouse_id
), consignment AS (
    INSERT INTO fulfillment_consignment (id, order_id, status, ship_to)
    SELECT %(consignment_id)s::uuid, %(order_id)s::uuid, %(status)s, %(ship_to)s::jsonb FROM verdict WHERE fits
), reservation AS (
    INSERT INTO fulfillment_reservation
        (id, order_id, line_id, sku, warehouse_id, quantity, weight_grams, status, expires_at)
    SELECT id, %(order_id)s::uuid, line_id, sku, warehouse_id, quantity, weight_grams, 'held',
           now() + make_interval(secs => %(seconds)s::float)
    FROM take, verdict WHERE fits
    UNION ALL
    SELECT id, %(order_id)s::uuid, line_id, sku, NULL, quantity, weight_grams, 'backordered', NULL
    FROM awaited, verdict WHERE fits
)
SELECT fits FROM verdict
"""


@require_unit_of_work
def reserve(*, order_id: UUID, lines: Sequence[ReserveLine], ship_to: ShippingAddress) -> bool:
    """Hold stock for an order's lines: one read to plan, one statement that takes everything or nothing.

    What is not there of lines that may wait is backordered; tell whether anything is. Raises InsufficientStock.
    """
    skus = {line.sku for line in lines}
    take_turns({line.sku for line in lines if line.may_wait})
    for _ in range(2):
        planned = plan(lines, stock_levels(skus), country=ship_to.country)
        if _take(order_id, planned, ship_to):
            return bool(planned.awaited)
    # Not reached while the first attempt keeps its locks; if it ever were, refusing is the safe side.
    raise InsufficientStock([])


def _take(order_id: UUID, planned: Plan, ship_to: ShippingAddress) -> bool:
    takes, awaited = planned
    parameters = {
        "ids": [uuid7() for _ in takes],
        "line_ids": [take.line.line_id for take in takes],
        "skus": [take.line.sku for take in takes],
        "warehouses": [take.warehouse for take in takes],
        "quantities": [take.quantity for take in takes],
        "weights": [take.line.weight_grams for take in takes],
        "awaited_ids": [uuid7() for _ in awaited],
        "awaited_line_ids": [line.line_id for line in awaited],
        "awaited_skus": [line.sku for line in awaited],
        "awaited_quantities": [line.quantity for line in awaited],
        "awaited_weights": [line.weight_grams for line in awaited],
        "status": ConsignmentStatus.BACKORDERED if awaited else ConsignmentStatus.RESERVED,
        "consignment_id": uuid7(),
        "order_id": order_id,
        "ship_to": Jsonb(asdict(ship_to)),
        "seconds": settings.RESERVATION_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, parameters)
        row = cursor.fetchone()
    return bool(row and row[0])


@require_unit_of_work
def allocate_stock(*, order_id: UUID) -> None:
    """Make the order's holds firm. Raises NothingReserved."""
    consignment = Consignment.locked(order_id)
    if consignment is None:
        raise NothingReserved(f"Order {order_id} has reserved nothing that could be allocated.")
    if consignment.status in (ConsignmentStatus.CANCELLED, ConsignmentStatus.RELEASED):
        reason = "The order's goods were given back before they could be allocated."
        publish(StockAllocationFailed(order_id=order_id, code="stock_released", reason=reason))
        return
    if consignment.status == ConsignmentStatus.RESERVED:
        _turn(consignment.reservations.held(), ReservationStatus.ALLOCATED)
        consignment.advance(ConsignmentStatus.ALLOCATED)
    publish(StockAllocated(order_id=order_id))


@require_unit_of_work
def release_stock(*, order_id: UUID) -> None:
    """Give back what the order still holds. Nothing can be allocated or booked for it afterwards.

    Raises ShipmentsLive while a parcel may still leave, or has left.
    """
    consignment = Consignment.locked(order_id)
    if consignment is not None and consignment.status != ConsignmentStatus.RELEASED:
        if not consignment.machine.allows(consignment.status, ConsignmentStatus.RELEASED):
            raise ShipmentsLive(f"Order {order_id} is {consignment.status}: its stock is in parcels that may leave.")
        consignment.advance(ConsignmentStatus.RELEASED)
        _give_back(consignment)
    publish(StockReleased(order_id=order_id))


def _give_back(consignment: Consignment) -> None:
    """Leave the lines, free what is held, and let those who wait for it have it."""
    lock_products(set(consignment.reservations.order_by().values_list("sku", flat=True)))
    stop_waiting(consignment=consignment)
    held = consignment.reservations.held()
    freed = _turn(held.filter(expires_at__lte=Now()), ReservationStatus.EXPIRED)
    freed += _turn(held, ReservationStatus.RELEASED)
    freed += _turn(consignment.reservations.allocated(), ReservationStatus.RELEASED)
    for item in locked_stock(freed):
        item.note(reserved=F("reserved") - freed[item.sku, item.warehouse_id])
    hand_out({sku for sku, _ in freed})


@require_unit_of_work
def consume(*, shipment: Shipment) -> None:
    """Take what is in a parcel off the books: it has left. The caller holds the consignment's lock."""
    inside = shipment.consignment.reservations.allocated().filter(warehouse_id=shipment.warehouse_id)
    move_out(pieces=_turn(inside, ReservationStatus.CONSUMED), order_id=shipment.order_id, shipment_id=shipment.id)


def _turn(reservations: ReservationQuerySet, status: ReservationStatus) -> Quantities:
    """Move reservations to `status`; return how many pieces of what that were."""
    pieces = Quantities()
    for reservation in reservations.select_for_update().order_by("id"):
        reservation.advance(status)
        pieces[reservation.sku, reservation.shelf] += reservation.quantity
    return pieces
