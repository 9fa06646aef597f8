"""Letting go of what is over its time: `prune`."""

from typing import Any

from outbox import audit, retention
from outbox.cli.terminal import Options, Terminal, Verbs, table
from outbox.publishing import unit_of_work
from outbox.retention import Report

MINUTES = 10.0


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    change = verbs.add_change("prune", "drop months and delete rows that are over their time", _prune)
    change.add_argument("--minutes", type=float, default=MINUTES, help="stop after so long; a second run goes on (10)")


def _prune(options: Options, terminal: Terminal) -> None:
    if options["dry_run"]:
        _show(retention.look_ahead(), terminal, done=False)
        return
    reason = audit.require_reason(options["reason"])
    with terminal.progress("prune") as progress:
        report = retention.prune(options["minutes"] * 60, tell=progress.say)
    with unit_of_work():
        audit.record("outbox.prune", "history", reason=reason, after=_found(report, done=True))
    _show(report, terminal, done=True)


def _show(report: Report, terminal: Terminal, *, done: bool) -> None:
    went, stayed = ("dropped", "kept") if done else ("would be dropped", "would be kept")
    rows = [(old.month.name, _megabytes(old.month.size_bytes), _words(old.held, went, stayed)) for old in report.months]
    lines = table(("month", "size", "what"), rows) if rows else ["No month is over its time."]
    verb = "deleted" if done else "would be deleted"
    lines += [f"{name}: {count:,} {verb}" for name, count in report.rows.items()]
    lines += ["The time was over before everything was done; run it again."] if report.more else []
    terminal.show(_found(report, done=done), lines)


def _found(report: Report, *, done: bool) -> dict[str, Any]:
    months = [
        {"name": old.month.name, "size_bytes": old.month.size_bytes, "goes": not old.held, "kept_because": old.held}
        for old in report.months
    ]
    return {"done": done, "months": months, "rows": report.rows, "more": report.more}


def _words(held: str, went: str, stayed: str) -> str:
    return f"{stayed}: {held}" if held else went


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.1f} MB"
