"""`manage.py verify`: checks every invariant."""

import sys
from dataclasses import asdict
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from outbox.invariants import verify


class Command(BaseCommand):
    """Says which invariants hold; the exit code is the number of those that do not."""

    help = "Check every invariant; the exit code is the number broken."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report."""
        verdicts = verify()
        broken = sum(verdict.violations > 0 for verdict in verdicts)
        if options["json"]:
            report = {
                "checked_at": timezone.now().isoformat(),
                "broken": broken,
                "invariants": [asdict(verdict) for verdict in verdicts],
            }
            self.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        else:
            for verdict in verdicts:
                mark = self.style.ERROR(f"{verdict.violations} broken") if verdict.violations else "holds"
                examples = f"  e.g. {', '.join(verdict.examples)}" if verdict.examples else ""
                self.stdout.write(f"{mark:>10}  {verdict.name}: {verdict.meaning}{examples}")
            self.stdout.write(f"{len(verdicts)} invariants checked, {broken} broken.")
        sys.exit(min(broken, 255))
