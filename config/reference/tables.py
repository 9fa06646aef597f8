"""Markdown tables and words for the generated pages."""

import inspect
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `./tandem manage reference --write`. Change the code, not this page. -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell(text) for text in line)} |\n" for line in lines)


def cell(text: str) -> str:
    """Return `text` fit for one cell."""
    return " ".join(text.split()).replace("|", "\\|")


def words_of(subject: object) -> str:
    """Return the docstring of `subject` on one line."""
    return " ".join((inspect.getdoc(subject) or "").split())
