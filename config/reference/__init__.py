"""Pages of docs/reference that are written from the code, so that they cannot drift from it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from config.reference.calls import calls_page
from config.reference.data import data_page
from config.reference.events import events_page
from config.reference.machines import machines_page
from config.reference.messages import messages_page

PAGES: Mapping[str, Callable[[], str]] = {
    "calls.md": calls_page,
    "data.md": data_page,
    "events.md": events_page,
    "machines.md": machines_page,
    "messages.md": messages_page,
}
"""Files in docs/reference, and what writes each."""


def out_of_date(folder: Path) -> list[str]:
    """Return the names of the pages in `folder` that say something else than the code."""
    return [name for name, page in PAGES.items() if _text(folder / name) != page()]


def write(folder: Path) -> list[str]:
    """Write the pages that are out of date; return their names."""
    names = out_of_date(folder)
    for name in names:
        (folder / name).write_text(PAGES[name]())
    return names


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
