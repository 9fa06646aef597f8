"""Stock on the shelves: counting it, and taking it off when it leaves."""

from uuid import UUID

from django.db.models import F

from fulfillment.errors import StockBelowReserved, UnknownWarehouse
from fulfillment.models import StockItem, StockMovement, Warehouse
from fulfillment.services.backorders import hand_out
from fulfillment.services.shelves import Quantities, lock_products, locked_stock, take_turns
from fulfillment.states import MovementKind
from outbox import audit
from outbox.context import current
from outbox.publishing import require_unit_of_work


@require_unit_of_work
def move_out(*, pieces: Quantities, order_id: UUID, shipment_id: UUID) -> None:
    """Take reserved pieces off the shelves: on hand and reserved go down together, with a movement each."""
    for item in locked_stock(pieces):
        quantity = pieces[item.sku, item.warehouse_id]
        item.note(on_hand=F("on_hand") - quantity, reserved=F("reserved") - quantity)
        StockMovement.objects.create(
            sku=item.sku,
            warehouse_id=item.warehouse_id,
            delta=-quantity,
            kind=MovementKind.HAND_OVER,
            order_id=order_id,
            shipment_id=shipment_id,
            actor=current().actor,
        )


@require_unit_of_work
def set_stock(*, sku: str, warehouse: str, on_hand: int, reason: str) -> int:
    """Write down that `on_hand` pieces were counted; return the difference to what the books said.

    What is more goes to those who wait for it, before anybody else sees it. Raises UnknownWarehouse,
    StockBelowReserved.
    """
    codes = list(Warehouse.objects.values_list("code", flat=True))
    if warehouse not in codes:
        raise UnknownWarehouse(warehouse, codes)
    take_turns([sku])
    StockItem.objects.bulk_create([StockItem(sku=sku, warehouse_id=warehouse)], ignore_conflicts=True)
    item = next(item for item in lock_products([sku]) if item.warehouse_id == warehouse)
    if on_hand < item.reserved:
        raise StockBelowReserved(sku, warehouse, on_hand, item.reserved)
    before, delta = item.on_hand, on_hand - item.on_hand
    if delta:
        item.note(on_hand=on_hand)
        StockMovement.objects.create(
            sku=sku,
            warehouse_id=warehouse,
            delta=delta,
            kind=MovementKind.COUNT,
            reason=reason,
            actor=current().actor,
        )
        counts = {"before": {"on_hand": before}, "after": {"on_hand": on_hand}}
        audit.record("set_stock", f"stock:{sku}@{warehouse}", reason=reason, **counts)
    if delta > 0:
        hand_out([sku])
    return delta


@require_unit_of_work
def define_warehouse(*, code: str, name: str, country: str) -> None:
    """Make a warehouse known, or correct its name and country (ISO 3166-1 alpha-2)."""
    Warehouse.objects.update_or_create(code=code, defaults={"name": name, "country": country})
