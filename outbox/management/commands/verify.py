"""`manage.py verify`: checks every invariant."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from outbox.cli.terminal import Terminal
from outbox.cli.verify import answer
from outbox.invariants import verify


class Command(BaseCommand):
    """Says which invariants hold; the exit code is the number of those that do not."""

    help = "Check every invariant; the exit code is the number broken."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report."""
        answer(verify(), Terminal(self.stdout, self.stderr, options["json"]), alarm=self.style.ERROR)
