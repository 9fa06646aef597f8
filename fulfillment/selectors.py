"""Reads that need joins or shaping."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from django.db import connection
from django.db.models import F, Sum

from fulfillment.models import Reservation, Shipment, StockItem
from fulfillment.states import ReservationStatus
from fulfillment.values import ShipmentLine, ShipmentView, StockLevel

_LEVELS = """
SELECT item.sku, item.warehouse_id, warehouse.country, item.on_hand, item.reserved
FROM fulfillment_stockitem AS item JOIN fulfillment_warehouse AS warehouse ON warehouse.code = item.warehouse_id
WHERE %(skus)s::text[] IS NULL OR item.sku = ANY(%(skus)s::text[])
ORDER BY item.sku, item.warehouse_id
"""


def stock_levels(skus: Collection[str] | None = None) -> list[StockLevel]:
    """Return the levels of `skus`, or of everything, by SKU and warehouse. One SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(_LEVELS, {"skus": None if skus is None else list(skus)})
        return [StockLevel(*row) for row in cursor.fetchall()]


def availability(skus: Collection[str]) -> dict[str, int]:
    """Return how many pieces of each SKU may be sold, over all warehouses; 0 for one that has none. One SELECT."""
    sellable = StockItem.objects.filter(sku__in=skus).values("sku").annotate(pieces=Sum(F("on_hand") - F("reserved")))
    return {**dict.fromkeys(skus, 0), **{row["sku"]: row["pieces"] for row in sellable.order_by()}}


def awaited(order_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Return the lines of each order that wait for stock, by the order's id. One SELECT."""
    waiting: dict[UUID, list[UUID]] = defaultdict(list)
    rows = Reservation.objects.filter(consignment_id__in=order_ids, status=ReservationStatus.BACKORDERED)
    for order_id, line_id in rows.order_by("line_id").values_list("consignment_id", "line_id").distinct():
        waiting[order_id].append(line_id)
    return dict(waiting)


def shipments_of(order_id: UUID) -> list[ShipmentView]:
    """Return the order's parcels, oldest first, also those that were taken back. Two SELECTs."""
    inside: dict[str, list[ShipmentLine]] = defaultdict(list)
    packed = (ReservationStatus.ALLOCATED, ReservationStatus.CONSUMED)
    for reservation in Reservation.objects.filter(consignment_id=order_id, status__in=packed):
        line = ShipmentLine(reservation.line_id, reservation.sku, reservation.quantity)
        inside[reservation.shelf].append(line)
    return [_view(shipment, inside[shipment.warehouse_id]) for shipment in Shipment.objects.of(order_id)]


def _view(shipment: Shipment, lines: list[ShipmentLine]) -> ShipmentView:
    return ShipmentView(
        id=shipment.id,
        order_id=shipment.order_id,
        warehouse=shipment.warehouse_id,
        status=shipment.status,
        tracking_number=shipment.tracking_number,
        label_url=shipment.label_url,
        weight_grams=shipment.weight_grams,
        failure_code=shipment.failure_code,
        failure_reason=shipment.failure_reason,
        lines=() if shipment.dead else tuple(lines),
        created_at=shipment.created_at,
        handed_over_at=shipment.handed_over_at,
        delivered_at=shipment.delivered_at,
    )
