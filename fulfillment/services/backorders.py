"""Goods that are promised before they are there: who waits for what, and who gets what comes.

The rule, per product: first come, first served, by the reservation's `place`. Whatever becomes free goes to the first
in the line, piece by piece, until it has all it wants; then to the next. It does so in the transaction in which it
becomes free, so that nothing is ever free while somebody waits, and a later order finds nothing to overtake with. An
order is complete, and goes on, when none of its reservations waits any more.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import connection
from django.db.models import F
from uuid_utils.compat import uuid7

from fulfillment.commands import CheckBackorder
from fulfillment.errors import NothingReserved
from fulfillment.events import BackorderFilled
from fulfillment.models import Consignment, Reservation, StockItem
from fulfillment.planning import Share, Waiter, share_out
from fulfillment.states import ConsignmentStatus, ReservationStatus
from fulfillment.values import StockLevel
from outbox.context import scope
from outbox.publishing import conversation_of, publish, require_unit_of_work, send

# Conditional, as whatever many may race for: a reservation is filled once.
_FILL = """
UPDATE fulfillment_reservation AS waiting SET status = 'allocated', warehouse_id = share.warehouse
FROM unnest(%s::uuid[], %s::text[]) AS share (id, warehouse)
WHERE waiting.id = share.id AND waiting.status = 'backordered'
"""


@require_unit_of_work
def hand_out(skus: Collection[str]) -> None:
    """Give what is free of these products to those who wait for it. The caller has locked the products."""
    waiting = list(Reservation.objects.backordered().filter(sku__in=skus).select_for_update())
    if not waiting:
        return
    stock = list(StockItem.objects.filter(sku__in={each.sku for each in waiting}).order_by("sku", "warehouse_id"))
    levels = [StockLevel(item.sku, item.warehouse_id, "", item.on_hand, item.reserved) for item in stock]
    shares = share_out([Waiter(each.id, each.sku, each.quantity) for each in waiting], levels)
    if shares:
        _give(shares, {each.id: each for each in waiting}, stock)


def _give(shares: Sequence[Share], waiting: dict[UUID, Reservation], stock: Sequence[StockItem]) -> None:
    filled: dict[UUID, str] = {}
    parts, taken, complete = [], Counter[tuple[str, str]](), set()
    for share in shares:
        reservation = waiting[share.id]
        taken[reservation.sku, share.warehouse] += share.quantity
        if share.quantity < reservation.quantity:
            part = _split(reservation, share.quantity)
            parts.append(part)
            filled[part.id] = share.warehouse
        else:
            filled[reservation.id] = share.warehouse
            complete.add(reservation.consignment_id)
    _write(parts, [waiting[id_] for id_ in dict.fromkeys(share.id for share in shares)], filled)
    for item in stock:
        if pieces := taken[item.sku, item.warehouse_id]:
            item.note(reserved=F("reserved") + pieces)
    for order_id in sorted(complete):
        with scope(correlation_id=conversation_of(order_id)):
            send(CheckBackorder(order_id=order_id))


def _split(reservation: Reservation, pieces: int) -> Reservation:
    """Take `pieces` out of a reservation that waits, as one of their own at the same place in the line."""
    reservation.quantity -= pieces
    return Reservation(
        id=uuid7(),
        consignment_id=reservation.consignment_id,
        line_id=reservation.line_id,
        sku=reservation.sku,
        quantity=pieces,
        weight_grams=reservation.weight_grams,
        status=ReservationStatus.BACKORDERED,
        place=reservation.place,
    )


def _write(parts: list[Reservation], served: list[Reservation], filled: dict[UUID, str]) -> None:
    if parts:
        Reservation.objects.bulk_create(parts)
        split = {part.place for part in parts}
        Reservation.objects.bulk_update([each for each in served if each.place in split], ["quantity"])
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [list(filled), list(filled.values())])
        assert cursor.rowcount == len(filled), "a reservation that waits was changed without its lock"


@require_unit_of_work
def check_backorder(*, order_id: UUID) -> None:
    """Let an order go on when nothing of it waits any more; once, however often it is asked. Raises NothingReserved."""
    consignment = Consignment.locked(order_id)
    if consignment is None:
        raise NothingReserved(f"Order {order_id} has reserved nothing that could be waited for.")
    if consignment.status == ConsignmentStatus.BACKORDERED and not consignment.reservations.backordered().exists():
        consignment.advance(ConsignmentStatus.RESERVED)
        publish(BackorderFilled(order_id=order_id))


@require_unit_of_work
def stop_waiting(*, consignment: Consignment) -> None:
    """Give up what an order still waits for; it leaves the lines. The caller holds the consignment's lock."""
    for reservation in consignment.reservations.backordered().select_for_update():
        reservation.advance(ReservationStatus.RELEASED)
