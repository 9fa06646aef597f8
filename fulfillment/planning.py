"""Which warehouse gives what, and to whom. Pure: decides from the levels it is shown, which may be stale by then."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
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


class Plan(NamedTuple):
    """What is taken now, and what is waited for: the lines in the quantities that are missing."""

    takes: list[Take]
    awaited: list[ReserveLine]


Shelves = dict[str, dict[str, int]]
"""Sellable pieces by warehouse and SKU, warehouses in the order of preference."""


def plan(lines: Sequence[ReserveLine], levels: Iterable[StockLevel], *, country: str) -> Plan:
    """Choose the warehouses: one for everything if possible, else one per line, else pieces from several.

    A warehouse in the destination's `country` goes first, then the one that is stocked best. What all of them together
    lack is waited for where the line may wait; what there is of it is taken. Raises InsufficientStock when a line that
    may not wait lacks something.
    """
    levels = list(levels)
    there, awaited = _divide(lines, levels)
    return Plan(_take(there, _shelves(levels, country)), awaited)


def _divide(
    lines: Sequence[ReserveLine], levels: Iterable[StockLevel]
) -> tuple[Sequence[ReserveLine], list[ReserveLine]]:
    """Return the lines in the quantities that are there, and in those that are missing. Raises InsufficientStock."""
    free: Counter[str] = Counter()
    for level in levels:
        free[level.sku] += level.available
    missing = {sku: quantity - free[sku] for sku, quantity in _wanted(lines).items() if quantity > free[sku]}
    if not missing:
        return lines, []
    short = {line.sku for line in lines if line.sku in missing and not line.may_wait}
    if short:
        raise InsufficientStock([Shortage(sku, missing[sku] + free[sku], free[sku]) for sku in missing if sku in short])
    there, awaited = [], []
    for line in lines:
        pieces = min(line.quantity, free[line.sku])
        free[line.sku] -= pieces
        if pieces:
            there.append(replace(line, quantity=pieces))
        if pieces < line.quantity:
            awaited.append(replace(line, quantity=line.quantity - pieces))
    return there, awaited


def _take(lines: Sequence[ReserveLine], shelves: Shelves) -> list[Take]:
    wanted = _wanted(lines)
    for warehouse, shelf in shelves.items():
        if all(shelf.get(sku, 0) >= quantity for sku, quantity in wanted.items()):
            return [Take(line, warehouse, line.quantity) for line in lines]
    takes: list[Take] = []
    for line in lines:
        takes += _take_line(line, shelves, used={take.warehouse for take in takes})
    return takes


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


class Waiter(NamedTuple):
    """A reservation that waits for so many pieces."""

    id: UUID
    sku: str
    quantity: int


class Share(NamedTuple):
    """So many pieces, from one warehouse, for a reservation that waits."""

    id: UUID
    warehouse: str
    quantity: int


def share_out(waiting: Iterable[Waiter], levels: Iterable[StockLevel]) -> list[Share]:
    """Give what is free to those who wait, each product to who came first: all there is until that one has enough.

    `waiting` stand in the order in which they came. So nobody overtakes, and nothing is free while somebody waits.
    """
    free: dict[str, dict[str, int]] = defaultdict(dict)
    for level in levels:
        free[level.sku][level.warehouse] = level.available
    shares = []
    for waiter in waiting:
        missing = waiter.quantity
        for warehouse, pieces in free[waiter.sku].items():
            given = min(missing, pieces)
            if given > 0:
                free[waiter.sku][warehouse] -= given
                missing -= given
                shares.append(Share(waiter.id, warehouse, given))
    return shares
