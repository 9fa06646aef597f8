"""What other apps may call. Values in, values out; never model rows."""

from collections.abc import Collection, Sequence
from uuid import UUID

from fulfillment import selectors
from fulfillment.models import Consignment, Return, Shipment, Warehouse
from fulfillment.services import reservations, returns, stock
from fulfillment.states import GONE
from fulfillment.values import (
    Finding,
    ReserveLine,
    ReturnedLine,
    ReturnView,
    ReturnWish,
    ShipmentLine,
    ShipmentView,
    ShippingAddress,
    StockLevel,
)
from outbox.publishing import require_unit_of_work

__all__ = [
    "Finding",
    "ReserveLine",
    "ReturnView",
    "ReturnWish",
    "ReturnedLine",
    "ShipmentLine",
    "ShipmentView",
    "ShippingAddress",
    "StockLevel",
    "approve_return",
    "availability",
    "awaited",
    "cancellable",
    "close_return",
    "consignment_id",
    "define_warehouse",
    "find_return",
    "inspect_return",
    "note_refund_granted",
    "receive_return",
    "reject_return",
    "request_return",
    "reserve",
    "returns_by_status",
    "returns_of",
    "set_stock",
    "shipments_of",
    "stock_levels",
    "warehouses",
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


def warehouses() -> list[tuple[str, str]]:
    """Return the warehouses' codes and names, by code."""
    return list(Warehouse.objects.order_by("code").values_list("code", "name"))


@require_unit_of_work
def request_return(*, order_id: UUID, wishes: Sequence[ReturnWish]) -> ReturnView:
    """Note what a customer wants to send back, each product once; approved at once within RETURN_DAYS of the delivery.

    Raises errors.NotReturnable. Locks the order's goods until COMMIT.
    """
    return_id = returns.request_return(order_id=order_id, wishes=wishes)
    return selectors.returns(Return.objects.filter(id=return_id))[0]


def returns_of(order_id: UUID) -> list[ReturnView]:
    """Return the order's returns, oldest first. Two SELECTs."""
    return selectors.returns(Return.objects.filter(consignment_id=order_id).order_by("id"))


def find_return(return_id: UUID) -> ReturnView | None:
    """Return one return, or None when there is none. Two SELECTs."""
    return next(iter(selectors.returns(Return.objects.filter(id=return_id))), None)


def returns_by_status(statuses: Collection[str], *, before: UUID | None, limit: int) -> list[ReturnView]:
    """Return the newest returns in `statuses`, or in any, that are older than `before`. Two SELECTs."""
    rows = Return.objects.order_by("-id")
    rows = rows.filter(status__in=statuses) if statuses else rows
    return selectors.returns((rows.filter(id__lt=before) if before else rows)[:limit])


# What staff decide, and what follows from the money: as the services say.
approve_return = returns.approve_return
reject_return = returns.reject_return
receive_return = returns.receive_return
inspect_return = returns.inspect_return
note_refund_granted = returns.note_refund_granted
close_return = returns.close_return
