"""Deciding about dead letters, and about what holds others back: `retry`, `discard`, `skip`."""

from django.core.management.base import CommandError

from outbox import operations, pressure
from outbox.cli.terminal import Options, Terminal, Verbs


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    for verb, words in (("retry", "put dead letters back into the queue"), ("discard", "give dead letters up")):
        change = verbs.add_change(verb, words, _decide)
        change.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `outbox list --state dead` shows")
        change.add_argument("--consumer", help="all dead letters of one consumer")
        change.add_argument("--fingerprint", help="all dead letters of one cause")

    skip = verbs.add_change("skip", "pass over heads of ordering keys, so that what they hold back goes on", _decide)
    skip.add_argument("ids", nargs="+", type=int, metavar="ID", help="as `outbox list` shows what others are behind")


VERBS = {
    "retry": operations.retry_dead_letter,
    "discard": operations.discard_dead_letter,
    "skip": operations.skip_delivery,
}


def _decide(options: Options, terminal: Terminal) -> None:
    verb = VERBS[options["verb"]]
    ids = options["ids"] if options["verb"] == "skip" else _chosen(options)
    if options["dry_run"]:
        terminal.show({"would": options["verb"], "ids": ids}, [f"Would {options['verb']} {len(ids)}: {ids}"])
        return
    in_turn = pressure.as_there_is_room(ids, terminal.waits_for) if verb is operations.retry_dead_letter else ids
    results = operations.each(verb, terminal.watch(in_turn, len(ids), options["verb"]), options["reason"])
    failed = [result for result in results if not result.done]
    lines = [f"{options['verb']}: {len(results) - len(failed)} done, {len(failed)} not."]
    terminal.show(results, [*lines, *(f"  {item.delivery_id}: {item.detail}" for item in failed)])
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} could not be done.")


def _chosen(options: Options) -> list[int]:
    if bool(options["ids"]) == bool(options["consumer"] or options["fingerprint"]):
        raise CommandError("Name the dead letters: either their ids, or --consumer and --fingerprint.")
    return options["ids"] or operations.dead_letter_ids(options["consumer"], options["fingerprint"])
