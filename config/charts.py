"""Small charts as plain geometry: the template draws them as SVG, with a table of the same figures behind. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

HEIGHT = 100.0
LONE = "h0.6"
"""How a reading without neighbours is drawn: as a dash as wide as its column allows."""


@dataclass(frozen=True, slots=True)
class Point:
    """One reading: a time, its figure per series (None: nothing was measured), and the words for it."""

    at: datetime
    values: tuple[float | None, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One column of the plot: where it is, the bar in it, and what to say when it is pointed at."""

    x: float
    y: float
    height: float
    empty: bool
    words: str
    at: datetime
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawable chart. Coordinates run from 0 to `width` and from 0 (top) to 100."""

    title: str
    unit: str
    series: tuple[str, ...]
    width: int
    ceiling: float
    marks: tuple[Mark, ...]
    lines: tuple[str, ...]
    area: str
    rest: str
    first: datetime
    middle: datetime
    last: datetime

    @property
    def half(self) -> float:
        """The figure at half height."""
        return self.ceiling / 2


def ceiling_of(values: Sequence[float], *, least: float) -> float:
    """Return a round figure (1, 2, 4, 5 or 10 times a power of ten) at or above the greatest value."""
    top = max([*values, least])
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= top)


def path(values: Sequence[float | None], ceiling: float) -> str:
    """Return SVG path data through the middle of each column; a missing reading breaks the line."""
    commands: list[str] = []
    pen = "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        lone = pen == "M" and (index + 1 == len(values) or values[index + 1] is None)
        x = index + (0.2 if lone else 0.5)
        commands.append(f"{pen}{x:g} {HEIGHT - value / ceiling * HEIGHT:.1f}{LONE if lone else ''}")
        pen = "L"
    return "".join(commands)


def chart(title: str, unit: str, series: tuple[str, ...], points: Sequence[Point], *, rest: str, least: float) -> Chart:
    """Return the geometry of `points`, which are evenly spaced and not empty.

    `rest` is said while nothing is pointed at; `least` is the smallest ceiling, so that noise looks small.
    """
    known = [value for point in points for value in point.values if value is not None]
    ceiling = ceiling_of(known, least=least)
    columns = [[point.values[index] for point in points] for index in range(len(series))]
    lines = tuple(path(column, ceiling) for column in columns)
    return Chart(
        title=title,
        unit=unit,
        series=series,
        width=len(points),
        ceiling=ceiling,
        marks=tuple(_mark(index, point, ceiling) for index, point in enumerate(points)),
        lines=lines,
        area=_area(columns[0], ceiling),
        rest=rest,
        first=points[0].at,
        middle=points[len(points) // 2].at,
        last=points[-1].at,
    )


def sparkline(values: Sequence[float]) -> str:
    """Return path data of a line without axes, in a box as wide as the number of values and 100 high."""
    return path(values, ceiling_of(values, least=1))


def _mark(index: int, point: Point, ceiling: float) -> Mark:
    value = point.values[0] or 0.0
    height = value / ceiling * HEIGHT if value else 1.0
    return Mark(index, HEIGHT - height, height, not value, point.words, point.at, point.values)


def _area(values: Sequence[float | None], ceiling: float) -> str:
    if any(value is None for value in values):
        return ""
    return f"{path(values, ceiling)}L{len(values) - 0.5:g} {HEIGHT:g}L0.5 {HEIGHT:g}Z"
