"""`manage.py reference`: the pages of docs/reference that are written from the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.reference import out_of_date, write
from orders.public.contracts import PUBLIC
from outbox import snapshots


class Command(BaseCommand):
    """Checks that the pages and the public contracts in docs/reference agree with the code; --write writes them."""

    help = "Check the generated pages of docs/reference (data.md, events.md, machines.md, messages.md) and events/."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --write."""
        parser.add_argument("--write", action="store_true", help="write the pages that are out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check or write."""
        folder = Path(settings.BASE_DIR, "docs", "reference")
        public = list(PUBLIC.values())
        if options["write"]:
            for name in [
                *write(folder),
                *(f"events/{path.name}" for path in snapshots.write(folder / "events", public)),
            ]:
                self.stdout.write(f"wrote {name}")
        elif names := out_of_date(folder):
            raise CommandError(f"Out of date: {', '.join(names)}. Run `./tandem check --write`.")
        if found := snapshots.problems(folder / "events", public):
            raise CommandError("\n".join(found))
