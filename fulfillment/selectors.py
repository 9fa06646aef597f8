"""Reads that need joins or shaping."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet, Sum

from fulfillment.models import Reservation, Return, Shipment, StockItem
from fulfillment.states import RETURNABLE, ReservationStatus
from fulfillment.values import ReturnedLine, ReturnView, ShipmentLine, ShipmentView, StockLevel

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


_SENT = """
SELECT sent.sku, sent.line_id, sent.pieces, coalesce(back.asked, 0), coalesce(back.accepted, 0), sent.late
FROM (
    SELECT r.sku, r.line_id, sum(r.quantity)::int AS pieces,
           bool_or(p.delivered_at < now() - make_interval(days => %(days)s)) IS TRUE AS late
    FROM fulfillment_reservation r
    JOIN fulfillment_shipment p ON p.order_id = r.order_id AND p.warehouse_id = r.warehouse_id
    WHERE r.order_id = %(order_id)s AND r.status = 'consumed' AND p.status = ANY(%(statuses)s)
    GROUP BY r.sku, r.line_id
) sent
LEFT JOIN (
    SELECT line.line_id, sum(line.quantity)::int AS asked, sum(line.sellable + line.damaged)::int AS accepted
    FROM fulfillment_returnline line JOIN fulfillment_return r ON r.id = line.return_id
    WHERE r.order_id = %(order_id)s AND r.status <> 'rejected' GROUP BY 1
) back USING (line_id)
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """How many pieces of a product the customer got, and how many of them come back."""

    line_id: UUID
    sent: int
    asked: int
    """In returns that were not rejected, on their way or back."""
    back: int
    """Taken back."""
    late: bool
    """The time for returns is over."""

    @property
    def returnable(self) -> int:
        """How many may still be sent back."""
        return self.sent - self.asked


def sent_and_back(order_id: UUID) -> dict[str, Sent]:
    """Return, by SKU, what of an order is with the customer. One SELECT, with the database's clock."""
    parameters = {"order_id": order_id, "days": settings.RETURN_DAYS, "statuses": [str(s) for s in RETURNABLE]}
    with connection.cursor() as cursor:
        cursor.execute(_SENT, parameters)
        return {sku: Sent(*row) for sku, *row in cursor.fetchall()}


def returns(rows: QuerySet[Return]) -> list[ReturnView]:
    """Return returns as values, in the order of `rows`. Two SELECTs."""
    return [_returned(row) for row in rows.prefetch_related("lines")]


def _returned(row: Return) -> ReturnView:
    lines = tuple(
        ReturnedLine(line.line_id, line.sku, line.quantity, line.reason, line.sellable, line.damaged, line.refused)
        for line in row.lines.all()
    )
    return ReturnView(
        id=row.id,
        order_id=row.order_id,
        status=row.status,
        late=row.late,
        warehouse=row.warehouse_id or "",
        reason_code=row.reason_code,
        reason=row.reason,
        lines=lines,
        created_at=row.created_at,
    )
