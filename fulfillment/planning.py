"""Which warehouse gives what. Pure: decides from the levels it is shown, which may be stale by then."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from fulfillment.errors import InsufficientStock, Shortage
from fulfillment.values import ReserveLine, StockLevel


class Take(NamedTuple):
    """A quantity of one order line, to be taken from one warehouse."""

    line: ReserveLine
    warehouse: str
    quantity: int

    @property
    def line_id(self) -> UUID:
        """Return the order line's id."""
        return self.line.line_id


Shelves = dict[str, dict[str, int]]
"""Sellable pieces by warehouse and SKU, warehouses in the order of preference."""


def plan(lines: Sequence[ReserveLine], levels: Iterable[StockLevel], *, country: str) -> list[Take]:
    """Choose the warehouses: one for everything if possible, else one per line, else pieces from several.

    A warehouse in the destination's `country` goes first, then the one that is stocked best. Raises
    InsufficientStock when all of them together have too little.
    """
    levels = list(levels)
    refuse_shortages(lines, levels)
    shelves = _shelves(levels, country)
    wanted = _wanted(lines)
    for warehouse, shelf in shelves.items():
        if all(shelf.get(sku, 0) >= quantity for sku, quantity in wanted.items()):
            return [Take(line, warehouse, line.quantity) for line in lines]
    takes: list[Take] = []
    for line in lines:
        takes += _take_line(line, shelves, used={take.warehouse for take in takes})
    return takes


def refuse_shortages(lines: Sequence[ReserveLine], levels: Iterable[StockLevel]) -> None:
    """Raise InsufficientStock when the warehouses together have too little of something."""
    available: dict[str, int] = defaultdict(int)
    for level in levels:
        available[level.sku] += level.available
    shortages = [
        Shortage(sku, quantity, available[sku]) for sku, quantity in _wanted(lines).items() if quantity > available[sku]
    ]
    if shortages:
        raise InsufficientStock(shortages)


def _wanted(lines: Sequence[ReserveLine]) -> dict[str, int]:
    wanted: dict[str, int] = defaultdict(int)
    for line in lines:
        wanted[line.sku] += line.quantity
    return wanted


def _shelves(levels: Iterable[StockLevel], country: str) -> Shelves:
    shelves: Shelves = defaultdict(dict)
    abroad: dict[str, bool] = {}
    for level in levels:
        shelves[level.warehouse][level.sku] = level.available
        abroad[level.warehouse] = level.country != country
    order = sorted(shelves, key=lambda code: (abroad[code], -sum(shelves[code].values()), code))
    return {code: shelves[code] for code in order}


def _take_line(line: ReserveLine, shelves: Shelves, *, used: set[str]) -> list[Take]:
    """Take one line off the shelves: whole from a warehouse already used, whole from another, else in pieces."""
    order = sorted(shelves, key=lambda code: code not in used)
    whole = [code for code in order if shelves[code].get(line.sku, 0) >= line.quantity]
    takes, missing = [], line.quantity
    for warehouse in whole[:1] or order:
        quantity = min(missing, shelves[warehouse].get(line.sku, 0))
        if quantity > 0:
            shelves[warehouse][line.sku] -= quantity
            missing -= quantity
            takes.append(Take(line, warehouse, quantity))
    return takes
