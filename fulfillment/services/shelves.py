"""The locks of stock, in their one home and their one order: products, stock rows by SKU and warehouse, who waits.

Who only takes from the shelves, or gives to a parcel, locks stock rows. Who joins the line of a product, adds a place
of it or frees some of it takes the product's turn first: so the rows it locks are all there are until it is done, and
two of them never wait for each other.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from django.db import connection
from django.db.models import Q, QuerySet

from fulfillment.models import StockItem
from outbox.publishing import require_unit_of_work

Quantities = Counter[tuple[str, str]]
"""Pieces by (SKU, warehouse)."""

_TAKE_TURNS = """
SELECT pg_advisory_xact_lock(turn.key)
FROM (SELECT DISTINCT hashtextextended(sku, 7) AS key FROM unnest(%s::text[]) AS sku ORDER BY key) AS turn
"""


@require_unit_of_work
def take_turns(skus: Collection[str]) -> None:
    """Be the only one, until the transaction ends, who joins or serves the lines of these products.

    Locks of stock rows are not enough: a product that is waited for may not have a row yet. One that is being added
    could be missed by somebody who joins the line, and the other way round. Comes before any lock of stock.
    """
    if skus:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_TURNS, [list(skus)])


@require_unit_of_work
def lock_products(skus: Collection[str]) -> list[StockItem]:
    """Take the products' turns, then lock their stock rows in every warehouse, and return those."""
    take_turns(skus)
    return list(StockItem.objects.select_for_update().filter(sku__in=skus).order_by("sku", "warehouse_id"))


def locked_stock(pieces: Mapping[tuple[str, str], int]) -> QuerySet[StockItem]:
    """Return the stock rows that `pieces` names, locked in the one order."""
    wanted = Q(pk__in=())
    for sku, warehouse in pieces:
        wanted |= Q(sku=sku, warehouse_id=warehouse)
    return StockItem.objects.select_for_update().filter(wanted).order_by("sku", "warehouse_id")
