"""What other apps may call. Values in, values out; never model rows."""

from collections.abc import Collection, Sequence
from uuid import UUID

from fulfillment import selectors
from fulfillment.models import Consignment, Shipment
from fulfillment.services import reservations, stock
from fulfillment.states import GONE
from fulfillment.values import ReserveLine, ShipmentLine, ShipmentView, ShippingAddress, StockLevel
from outbox.publishing import require_unit_of_work

__all__ = [
    "ReserveLine",
    "ShipmentLine",
    "ShipmentView",
    "ShippingAddress",
    "StockLevel",
    "availability",
    "awaited",
    "cancellable",
    "consignment_id",
    "define_warehouse",
    "reserve",
    "set_stock",
    "shipments_of",
    "stock_levels",
]


def availability(skus: Collection[str]) -> dict[str, int]:
    """Return how many pieces of each SKU may be sold, over all warehouses; 0 where there are none. One SELECT."""
    return selectors.availability(skus)


def stock_levels(skus: Collection[str] | None = None) -> list[StockLevel]:
    """Return what each warehouse has of `skus`, or of everything. One SELECT."""
    return selectors.stock_levels(skus)


@require_unit_of_work
def reserve(*, order_id: UUID, lines: Sequence[ReserveLine], ship_to: ShippingAddress) -> bool:
    """Hold stock for an order's lines for RESERVATION_SECONDS, all of it or nothing; usually two statements.

    What is not there of a line that may wait is backordered; tell whether anything is. BackorderFilled follows when
    all of it is there. Raises errors.InsufficientStock. Call it as late as possible: it locks stock rows until COMMIT.
    """
    return reservations.reserve(order_id=order_id, lines=lines, ship_to=ship_to)


def awaited(order_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Return the lines of each order that wait for stock, in the order of the lines' ids. One SELECT."""
    return selectors.awaited(order_ids)


def consignment_id(order_id: UUID) -> UUID | None:
    """Return the id under which the history of the order's goods is kept (machine `consignment`); None without any."""
    return Consignment.objects.filter(order_id=order_id).values_list("id", flat=True).first()


def shipments_of(order_id: UUID) -> list[ShipmentView]:
    """Return the order's parcels, oldest first, also those that were taken back. Two SELECTs."""
    return selectors.shipments_of(order_id)


@require_unit_of_work
def cancellable(order_id: UUID) -> bool:
    """Tell whether no parcel of the order has left; none will be recorded as leaving before this transaction ends."""
    Consignment.locked(order_id)
    return not Shipment.objects.of(order_id).filter(status__in=GONE).exists()


@require_unit_of_work
def set_stock(*, sku: str, warehouse: str, on_hand: int, reason: str) -> int:
    """Write down a count; return the difference. Raises errors.UnknownWarehouse, errors.StockBelowReserved."""
    return stock.set_stock(sku=sku, warehouse=warehouse, on_hand=on_hand, reason=reason)


@require_unit_of_work
def define_warehouse(*, code: str, name: str, country: str) -> None:
    """Make a warehouse known, or correct its name and country (ISO 3166-1 alpha-2)."""
    stock.define_warehouse(code=code, name=name, country=country)
