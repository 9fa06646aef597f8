"""The catalogue of messages: `contracts`."""

from pathlib import Path

from django.core.management.base import CommandError

from outbox import samples, snapshots
from outbox.cli.terminal import Options, Terminal, Verbs, table
from outbox.conf import conf
from outbox.consumers import subscribers
from outbox.contracts import all_contracts


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = verbs.add("contracts", "the catalogue of messages", _contracts)
    parser.add_argument("--check", action="store_true", help="compare with the published schemas and samples")
    parser.add_argument("--write", action="store_true", help="write the schemas and samples that are missing")
    parser.add_argument("--folder", type=Path, default=conf.CONTRACTS_FOLDER)


def _contracts(options: Options, terminal: Terminal) -> None:
    if options["write"]:
        for path in [*snapshots.write(options["folder"]), *samples.write(options["folder"])]:
            terminal.err.write(f"wrote {path.name}")
    if options["check"] or options["write"]:
        found = [*snapshots.problems(options["folder"]), *samples.problems(options["folder"])]
        if found:
            raise CommandError("\n".join(found))
        terminal.show({"problems": []}, ["The contracts are as published."])
        return
    catalogue = [
        {**c.schema(), "name": c.name, "version": c.version, "consumers": subscribers(c.name)} for c in all_contracts()
    ]
    rows = [(c.name, c.version, c.kind, c.promise, ", ".join(subscribers(c.name))) for c in all_contracts()]
    terminal.show(catalogue, table(("name", "version", "kind", "promise", "consumers"), rows))
