"""Rows of fulfilment: stock, reservations, consignments, shipments, returns and the carrier's callbacks.

An order's goods are one consignment. Its row is the lock of everything that happens to them: whoever changes
reservations, shipments or returns of an order locks the consignment first, then stock in the order (sku, warehouse).
Only what waits for stock is touched from outside: whoever brings stock gives it to those who wait, under the stock's
lock.
"""

from fulfillment.models.base import Noting, Stateful
from fulfillment.models.goods import (
    PLACES,
    CarrierCallback,
    Consignment,
    Reservation,
    ReservationQuerySet,
    Shipment,
    ShipmentQuerySet,
)
from fulfillment.models.returns import Return, ReturnLine
from fulfillment.models.stock import StockItem, StockMovement, Warehouse

__all__ = [
    "PLACES",
    "CarrierCallback",
    "Consignment",
    "Noting",
    "Reservation",
    "ReservationQuerySet",
    "Return",
    "ReturnLine",
    "Shipment",
    "ShipmentQuerySet",
    "Stateful",
    "StockItem",
    "StockMovement",
    "Warehouse",
]
