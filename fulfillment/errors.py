"""Every error that fulfilment raises.

FulfillmentError
├── InsufficientStock    the lines ask for more than is sellable
├── UnknownWarehouse     no warehouse has this code
├── StockBelowReserved   the new count would be less than what is promised to orders
├── NothingReserved      a command came for an order that never reserved anything
├── StockNotAllocated    shipments were asked for before the stock was allocated
├── ShipmentsLive        stock was to be released while its parcels may still leave
├── ContradictoryCarrier the carrier reports what cannot be, such as the collection of a voided parcel
├── NotReturnable        more is to be sent back than the customer has and has not sent back yet
├── UnknownReturn        no return has this id
└── WrongFindings        an inspection's findings do not fit what was announced
"""

from collections.abc import Sequence
from typing import NamedTuple


class FulfillmentError(Exception):
    """Root of fulfilment's errors."""


class Shortage(NamedTuple):
    """One product of which too little is there."""

    sku: str
    requested: int
    available: int


class InsufficientStock(FulfillmentError):
    """The lines ask for more than is sellable; nothing was reserved. `shortages` tells what is there instead."""

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        wanting = ", ".join(f"{s.sku}: {s.requested} requested, {s.available} available" for s in shortages)
        super().__init__(f"Not enough stock ({wanting}).")
        self.shortages = tuple(shortages)


class UnknownWarehouse(FulfillmentError):
    """No warehouse has this code."""

    def __init__(self, code: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no warehouse {code!r}. Known: {', '.join(known) or 'none yet'}.")


class StockBelowReserved(FulfillmentError):
    """The new count would be less than what is already promised to orders."""

    def __init__(self, sku: str, warehouse: str, on_hand: int, reserved: int) -> None:
        super().__init__(
            f"{sku} in {warehouse} cannot be set to {on_hand}: {reserved} are reserved for orders. "
            "Cancel orders first, or set at least that many."
        )


class NothingReserved(FulfillmentError):
    """A command came for an order that never reserved anything."""


class StockNotAllocated(FulfillmentError):
    """Shipments were asked for before the order's stock was allocated."""


class ShipmentsLive(FulfillmentError):
    """Stock was to be released while parcels that hold it may still leave: cancel the shipments first."""


class ContradictoryCarrier(FulfillmentError):
    """The carrier reports what cannot be, such as the collection of a voided parcel: a person has to look."""


class Excess(NamedTuple):
    """One product of which more is to be sent back than can be."""

    sku: str
    requested: int
    returnable: int


class NotReturnable(FulfillmentError):
    """More is to be sent back than the customer has and has not sent back yet. `excesses` tells what can be."""

    def __init__(self, excesses: Sequence[Excess]) -> None:
        wanting = ", ".join(f"{e.sku}: {e.requested} requested, {e.returnable} returnable" for e in excesses)
        super().__init__(f"That cannot be returned ({wanting}).")
        self.excesses = tuple(excesses)


class UnknownReturn(FulfillmentError):
    """No return has this id."""


class WrongFindings(FulfillmentError):
    """An inspection's findings do not fit what was announced: another product, or more pieces."""
