"""Handing events of the past to one consumer: `replay`."""

import time
from dataclasses import astuple
from datetime import UTC, datetime
from uuid import UUID

from django.core.management.base import CommandError

from outbox import audit, replay
from outbox.cli.terminal import Options, Terminal, Verbs
from outbox.publishing import unit_of_work
from outbox.replay import Counts, Range, Replay

RATE = 500.0
PORTION = 1_000
"""Messages looked at in one transaction; fewer where the rate asks for it."""
PATIENCE_SECONDS = 35.0
"""Longer than a session of ours may be silent in its transaction."""
INTERRUPTED = 130


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    change = verbs.add_change("replay", "hand events of the past to one consumer", _replay)
    change.add_argument("consumer", nargs="?", metavar="CONSUMER", help="by its permanent name")
    change.add_argument("--since", type=_moment, metavar="TIME", help="from when on, such as 2026-03-01T12:00 (UTC)")
    change.add_argument("--until", type=_moment, metavar="TIME", help="until before when; now when left out")
    change.add_argument("--name", help="only events of this contract")
    change.add_argument("--aggregate", type=UUID, metavar="ID", help="only events about this one")
    change.add_argument("--again", action="store_true", help="also what it has finished, or was discarded")
    change.add_argument("--rate", type=float, default=RATE, metavar="N", help="deliveries a second at most (500)")
    change.add_argument("--resume", type=UUID, metavar="REPLAY", help="go on with one that was interrupted")


def _replay(options: Options, terminal: Terminal) -> None:
    if bool(options["resume"]) == bool(options["consumer"]):
        raise CommandError("Name the consumer and --since, or --resume a replay.")
    if options["rate"] <= 0:
        raise CommandError("--rate is a number of deliveries a second, above 0.")
    reason = audit.require_reason(options["reason"])
    found = replay.find_replay(options["resume"]) if options["resume"] else None
    wanted = found.range if found else _chosen(options)
    if options["dry_run"]:
        _count(wanted, terminal)
    else:
        _run(found or _begin(wanted, reason), options["rate"], terminal)


def _chosen(options: Options) -> Range:
    if options["since"] is None:
        raise CommandError("Say from when on: --since.")
    until = options["until"] or datetime.now(UTC)
    name, aggregate_id, again = options["name"], options["aggregate"], options["again"]
    return replay.choose(
        options["consumer"], options["since"], until, name=name, aggregate_id=aggregate_id, again=again
    )


def _begin(wanted: Range, reason: str) -> Replay:
    with unit_of_work():
        return replay.begin(wanted, reason)


def _count(wanted: Range, terminal: Terminal) -> None:
    total = (0, 0, 0)
    with terminal.progress("counting") as progress:
        for counts, reached in replay.count(wanted):
            progress.reach(reached)
            total = tuple(a + b for a, b in zip(total, astuple(counts), strict=True))
    counts = Counts(*total)
    would = counts.missing + (counts.finished if wanted.again else 0)
    lines = [
        f"Would hand {would:,} events to {wanted.consumer}.",
        f"never delivered to it: {counts.missing:,}; finished by it: {counts.finished:,}"
        f"{'' if wanted.again else ' (only with --again)'}; on their way: {counts.queued:,}",
    ]
    terminal.show({"would": "replay", "deliveries": would, **_as_dict(counts), "consumer": wanted.consumer}, lines)


def _as_dict(counts: Counts) -> dict[str, int]:
    return {"missing": counts.missing, "finished": counts.finished, "queued": counts.queued}


def _run(begun: Replay, rate: float, terminal: Terminal) -> None:
    terminal.err.write(f"replay {begun.id}", style_func=str)
    if not replay.wait_for_open_transactions(PATIENCE_SECONDS):
        terminal.err.write("A transaction is open for long; what it says may need a second run of this replay.")
    made, began = 0, time.monotonic()
    try:
        with terminal.progress("replay") as progress:
            for portion in replay.run(begun, max(1, min(PORTION, int(rate))), terminal.waits_for):
                made += portion.made
                progress.reach(portion.reached, f"{made:,} handed out")
                time.sleep(max(0.0, began + made / rate - time.monotonic()))
    except KeyboardInterrupt:
        words = f"Interrupted; {made:,} are handed out. `outbox replay --resume {begun.id} --reason …` goes on."
        raise CommandError(words, returncode=INTERRUPTED) from None
    found = {"replay": begun.id, "consumer": begun.range.consumer, "made": made}
    terminal.show(found, [f"Handed {made:,} events to {begun.range.consumer}."])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
