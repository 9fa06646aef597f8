"""Holding work back and letting it go: `pause`, `resume`."""

from collections.abc import Collection

from django.core.management.base import CommandError

from outbox import control
from outbox.cli.terminal import Options, Terminal, Verbs
from outbox.consumers import all_consumers
from outbox.publishing import unit_of_work


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    for verb, words in (("pause", "stop handing out a consumer's work"), ("resume", "let consumers go on")):
        change = verbs.add_change(verb, words, _switch)
        change.add_argument("names", nargs="*", metavar="NAME")
        change.add_argument("--all", action="store_true", dest="everyone", help="every consumer")


def _switch(options: Options, terminal: Terminal) -> None:
    if bool(options["names"]) == options["everyone"]:
        raise CommandError("Name the consumers, or say --all.")
    verb = options["verb"]
    names: Collection[str] = options["names"] or _everyone(verb)
    if options["dry_run"]:
        terminal.show({"would": verb, "consumers": names}, [f"Would {verb}: {', '.join(names)}"])
        return
    change = control.pause if verb == "pause" else control.resume
    with unit_of_work():
        changed = change(names, options["reason"])
    unchanged = sorted(set(names).difference(changed))
    lines = [f"{verb}d: {', '.join(changed) or 'nobody'}"]
    lines += [f"so already: {', '.join(unchanged)}"] if unchanged else []
    terminal.show({"changed": changed, "unchanged": unchanged}, lines)


def _everyone(verb: str) -> list[str]:
    return [entry.name for entry in all_consumers()] if verb == "pause" else sorted(control.paused())
