"""Checking the invariants: `verify`, and what `manage.py verify` answers with."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from outbox.cli.terminal import Options, Terminal, Verbs
from outbox.invariants import Verdict, verify

ENGINE = "outbox."
MOST_BROKEN = 255
"""The largest exit code there is."""


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = verbs.add("verify", "check the engine's invariants; the exit code is the number broken", _verify)
    parser.add_argument(
        "--all", action="store_true", dest="everything", help="those of all apps, as `manage.py verify`"
    )


def _verify(options: Options, terminal: Terminal) -> None:
    answer(verify("" if options["everything"] else ENGINE), terminal)


def answer(verdicts: Sequence[Verdict], terminal: Terminal, alarm: Callable[[str], str] = str) -> None:
    """Print how the invariants were found, and end the process with the number of those broken."""
    broken = sum(verdict.violations > 0 for verdict in verdicts)
    lines = [_line(verdict, alarm) for verdict in verdicts]
    terminal.show(_report(verdicts, broken), [*lines, f"{len(verdicts)} invariants checked, {broken} broken."])
    sys.exit(min(broken, MOST_BROKEN))


def _report(verdicts: Sequence[Verdict], broken: int) -> dict[str, Any]:
    checked_at = timezone.now().isoformat()
    return {"checked_at": checked_at, "broken": broken, "invariants": [asdict(verdict) for verdict in verdicts]}


def _line(verdict: Verdict, alarm: Callable[[str], str]) -> str:
    mark = alarm(f"{verdict.violations} broken") if verdict.violations else "holds"
    examples = f"  e.g. {', '.join(verdict.examples)}" if verdict.examples else ""
    return f"{mark:>10}  {verdict.name}: {verdict.meaning}{examples}"
