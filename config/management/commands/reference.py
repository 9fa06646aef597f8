"""`manage.py reference`: the pages of docs/reference that are written from the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.reference import out_of_date, write


class Command(BaseCommand):
    """Checks that data dictionary, diagrams and message catalogue agree with the code; writes them with --write."""

    help = "Check the generated pages of docs/reference: data.md, machines.md, messages.md."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --write."""
        parser.add_argument("--write", action="store_true", help="write the pages that are out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check or write."""
        folder = Path(settings.BASE_DIR, "docs", "reference")
        if options["write"]:
            for name in write(folder):
                self.stdout.write(f"wrote {name}")
        elif names := out_of_date(folder):
            raise CommandError(f"Out of date: {', '.join(names)}. Run `./tandem check --write`.")
