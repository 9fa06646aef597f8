"""What all verbs share: how they are declared, and how they answer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from django.core.management.base import CommandParser, OutputWrapper

from outbox.cli.progress import Progress
from outbox.pressure import Backlog

T = TypeVar("T")
Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a verb's answer goes: text for people, one JSON document with --json."""

    out: OutputWrapper
    err: OutputWrapper
    json: bool

    def show(self, found: Any, lines: Sequence[str]) -> None:
        """Print `found` as JSON when that was asked for, else `lines`."""
        self.out.write(as_json(found) if self.json else "\n".join(lines))

    def progress(self, title: str) -> Progress:
        """Return a line that shows how far long work is, on standard error and only where somebody watches."""
        return Progress(self.err, title)

    def watch(self, items: Iterable[T], total: int, title: str) -> Iterator[T]:
        """Yield `items`, and show how many of the `total` were taken."""
        with self.progress(title) as progress:
            for done, item in enumerate(items):
                progress.reach(done / total, f"{done:,} of {total:,}")
                yield item

    def waits_for(self, backlog: Backlog) -> None:
        """Say on standard error why nothing seems to happen."""
        self.err.write(f"Waiting: {backlog}. It goes on when there is room.", style_func=str)


Run = Callable[[Options, Terminal], None]


class Verbs:
    """The subcommands of one command."""

    def __init__(self, parser: CommandParser) -> None:
        self._subparsers = parser.add_subparsers(title="subcommands", dest="verb", required=True)

    def add(self, name: str, words: str, run: Run) -> CommandParser:
        """Declare a verb that `run` does; return its parser for further arguments."""
        parser: CommandParser = self._subparsers.add_parser(name, help=words, description=words)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(run=run)
        return parser

    def add_change(self, name: str, words: str, run: Run) -> CommandParser:
        """Declare a verb that changes something: it needs a reason, and can be tried without effect."""
        parser = self.add(name, words, run)
        parser.add_argument("--reason", required=True, help="why; kept in the audit log")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        return parser


def as_json(value: Any) -> str:
    """Return `value` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def table(head: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the rows as aligned lines under their headings."""
    cells = [head, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
