"""`manage.py outbox …`: what operators see and do in the admin, from the command line."""

import getpass
from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from outbox import control, operations, queue_views, snapshots, stats
from outbox.consumers import all_consumers, subscribers
from outbox.context import scope
from outbox.contracts import all_contracts
from outbox.errors import OutboxError
from outbox.models import DeliveryState
from outbox.publishing import unit_of_work

CONTRACTS = Path("docs/reference/contracts")


class Command(BaseCommand):
    """One subcommand per verb; each prints a table, or one JSON document with --json."""

    help = "Look at the queue, retry or discard dead letters, pause consumers, list and check contracts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands; each names the method that does it."""
        verbs = parser.add_subparsers(title="subcommands", dest="verb", required=True)
        _verb(verbs, "stats", "the queue per consumer, breakers, workers, sagas")
        listing = _verb(verbs, "list", "unfinished deliveries, oldest first")
        listing.add_argument("--state", choices=DeliveryState.values)
        listing.add_argument("--consumer")
        listing.add_argument("--limit", type=int, default=50)
        show = _verb(verbs, "show", "one message: where it stands, its attempts")
        show.add_argument("message_id", type=UUID)
        for verb, words in (("retry", "put dead letters back into the queue"), ("discard", "give dead letters up")):
            change = _changing(_verb(verbs, verb, words))
            change.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `outbox list --state dead` shows")
            change.add_argument("--consumer", help="all dead letters of one consumer")
            change.add_argument("--fingerprint", help="all dead letters of one cause")
        for verb, words in (("pause", "stop handing out a consumer's work"), ("resume", "let consumers go on")):
            change = _changing(_verb(verbs, verb, words))
            change.add_argument("names", nargs="*", metavar="NAME")
            change.add_argument("--all", action="store_true", dest="everyone", help="every consumer")
        contracts = _verb(verbs, "contracts", "the catalogue of messages")
        contracts.add_argument("--check", action="store_true", help="compare with the published snapshots")
        contracts.add_argument("--write", action="store_true", help="write the snapshots that are missing")
        contracts.add_argument("--folder", type=Path, default=settings.BASE_DIR / CONTRACTS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand as the person at the terminal."""
        do = {
            "stats": self._stats,
            "list": self._list,
            "show": self._show,
            "retry": self._dead_letters,
            "discard": self._dead_letters,
            "pause": self._flow,
            "resume": self._flow,
            "contracts": self._contracts,
        }
        try:
            with scope(actor=f"command:{getpass.getuser()}"):
                do[options["verb"]](options)
        except OutboxError as error:
            raise CommandError(str(error)) from error

    def _stats(self, options: dict[str, Any]) -> None:
        found = {
            "oldest_due_seconds": round(stats.oldest_due_seconds(), 3),
            "queue": stats.queue_depth(),
            "paused": sorted(control.paused()),
            "breakers": stats.breakers(),
            "workers": stats.workers(),
            "sagas": stats.sagas_by_status(),
        }
        lines = [f"oldest due: {found['oldest_due_seconds']} s", f"paused: {', '.join(control.paused()) or 'nobody'}"]
        depth = [(q.consumer, q.ready, q.scheduled, q.leased, q.parked, q.dead) for q in stats.queue_depth()]
        lines += _table(("consumer", "ready", "scheduled", "in a call", "parked", "dead"), depth)
        lines += _table(
            ("destination", "breaker", "waiting"), [(b.destination, b.state, b.waiting) for b in stats.breakers()]
        )
        lines += [f"workers: {len(stats.workers())}", f"sagas: {stats.sagas_by_status() or 'none under way'}"]
        self._print(options, found, lines)

    def _list(self, options: dict[str, Any]) -> None:
        found = queue_views.deliveries(options["state"], options["consumer"], options["limit"])
        rows = [(d.id, d.consumer, d.state, d.attempts, d.message_id, d.error[:70]) for d in found]
        lines = (
            _table(("id", "consumer", "state", "attempts", "message", "error"), rows) if rows else ["Nothing there."]
        )
        self._print(options, found, lines)

    def _show(self, options: dict[str, Any]) -> None:
        found = queue_views.message(options["message_id"])
        if found is None:
            raise CommandError(f"There is no message {options['message_id']}.")
        self._print(options, found, [_json(found)])

    def _dead_letters(self, options: dict[str, Any]) -> None:
        verb = operations.retry_dead_letter if options["verb"] == "retry" else operations.discard_dead_letter
        ids = self._chosen(options)
        if options["dry_run"]:
            self._print(options, {"would": options["verb"], "ids": ids}, [f"Would {options['verb']} {len(ids)}: {ids}"])
            return
        results = operations.each(verb, ids, options["reason"])
        failed = [result for result in results if not result.done]
        lines = [f"{options['verb']}: {len(results) - len(failed)} done, {len(failed)} not."]
        self._print(options, results, [*lines, *(f"  {item.delivery_id}: {item.detail}" for item in failed)])
        if failed:
            raise CommandError(f"{len(failed)} of {len(results)} could not be done.")

    def _chosen(self, options: dict[str, Any]) -> list[int]:
        if bool(options["ids"]) == bool(options["consumer"] or options["fingerprint"]):
            raise CommandError("Name the dead letters: either their ids, or --consumer and --fingerprint.")
        return options["ids"] or operations.dead_letter_ids(options["consumer"], options["fingerprint"])

    def _flow(self, options: dict[str, Any]) -> None:
        if bool(options["names"]) == options["everyone"]:
            raise CommandError("Name the consumers, or say --all.")
        verb = control.pause if options["verb"] == "pause" else control.resume
        names: Collection[str] = options["names"] or self._everyone(options["verb"])
        if options["dry_run"]:
            self._print(
                options,
                {"would": options["verb"], "consumers": names},
                [f"Would {options['verb']}: {', '.join(names)}"],
            )
            return
        with unit_of_work():
            changed = verb(names, options["reason"])
        unchanged = sorted(set(names).difference(changed))
        lines = [f"{options['verb']}d: {', '.join(changed) or 'nobody'}"]
        lines += [f"so already: {', '.join(unchanged)}"] if unchanged else []
        self._print(options, {"changed": changed, "unchanged": unchanged}, lines)

    def _everyone(self, verb: str) -> list[str]:
        return [entry.name for entry in all_consumers()] if verb == "pause" else sorted(control.paused())

    def _contracts(self, options: dict[str, Any]) -> None:
        if options["write"]:
            for path in snapshots.write(options["folder"]):
                self.stderr.write(f"wrote {path.name}")
        if options["check"] or options["write"]:
            found = snapshots.problems(options["folder"])
            if found:
                raise CommandError("\n".join(found))
            self._print(options, {"problems": []}, ["The contracts are as published."])
            return
        catalogue = [
            {**c.schema(), "name": c.name, "version": c.version, "consumers": subscribers(c.name)}
            for c in all_contracts()
        ]
        rows = [(c.name, c.version, c.kind, c.semantics, ", ".join(subscribers(c.name))) for c in all_contracts()]
        self._print(options, catalogue, _table(("name", "version", "kind", "promise", "consumers"), rows))

    def _print(self, options: dict[str, Any], found: Any, lines: list[str]) -> None:
        self.stdout.write(_json(found) if options["json"] else "\n".join(lines))


def _verb(verbs: Any, name: str, words: str) -> CommandParser:
    parser: CommandParser = verbs.add_parser(name, help=words, description=words)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _changing(parser: CommandParser) -> CommandParser:
    parser.add_argument("--reason", required=True, help="why; kept in the audit log")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return parser


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """Return the rows as aligned lines under their headings."""
    cells = [head, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
