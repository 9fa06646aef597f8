"""Holding work back and letting it go: `pause`, `resume`, `throttle`, `breaker`."""

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

from django.core.management.base import CommandError, CommandParser

from outbox import breakers, control, throttles
from outbox.cli.terminal import Options, Terminal, Verbs
from outbox.consumers import all_consumers
from outbox.publishing import unit_of_work


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    for verb, words in (("pause", "stop handing out a consumer's work"), ("resume", "let consumers go on")):
        change = verbs.add_change(verb, words, _switch)
        change.add_argument("names", nargs="*", metavar="NAME")
        change.add_argument("--all", action="store_true", dest="everyone", help="every consumer")
    throttle = verbs.add_change("throttle", "set limits for a destination or a consumer, or lift them", _throttle)
    whose = throttle.add_mutually_exclusive_group(required=True)
    whose.add_argument("--destination", metavar="NAME")
    whose.add_argument("--consumer", metavar="NAME")
    throttle.add_argument(
        "--per-second", type=float, metavar="N", help="calls or messages per second, over all workers"
    )
    throttle.add_argument("--concurrency", type=int, metavar="N", help="calls or batches at once, over all workers")
    throttle.add_argument("--lift", action="store_true", help="let what is declared hold again")
    _lasting(throttle, "until it is lifted")
    breaker = verbs.add_change("breaker", "open or close the breaker of a destination", _breaker)
    breaker.add_argument("to", choices=("open", "close"))
    breaker.add_argument("destination", metavar="DESTINATION")
    _lasting(breaker, "open: until it is closed; close: it guards as usual")


def _lasting(parser: CommandParser, otherwise: str) -> None:
    parser.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help=f"how long; without, {otherwise}")


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


def _throttle(options: Options, terminal: Terminal) -> None:
    kind = "destination" if options["destination"] else "consumer"
    name = options[kind]
    throttle = throttles.Throttle(options["concurrency"], options["per_second"], _time_given(options))
    if options["lift"]:
        lift = throttles.lift_destination if kind == "destination" else throttles.lift_consumer
        _carry_out(partial(lift, name, options["reason"]), f"lift the throttle of {kind} {name}", options, terminal)
        return
    throttle.check()
    change = throttles.throttle_destination if kind == "destination" else throttles.throttle_consumer
    words = f"throttle {kind} {name}: {_in_words(throttle)}"
    _carry_out(partial(change, name, throttle, options["reason"]), words, options, terminal)


def _breaker(options: Options, terminal: Terminal) -> None:
    change = breakers.open_by_hand if options["to"] == "open" else breakers.close_by_hand
    words = f"{options['to']} the breaker of {options['destination']}"
    do = partial(change, options["destination"], options["reason"], _time_given(options))
    _carry_out(do, words, options, terminal)


def _carry_out(do: Callable[[], None], words: str, options: Options, terminal: Terminal) -> None:
    if options["dry_run"]:
        terminal.show({"would": words}, [f"Would {words}"])
        return
    with unit_of_work():
        do()
    terminal.show({"done": words}, [f"Done: {words}"])


def _time_given(options: Options) -> timedelta | None:
    return None if options["seconds"] is None else timedelta(seconds=options["seconds"])


def _in_words(throttle: throttles.Throttle) -> str:
    at_once = None if throttle.concurrency is None else f"{throttle.concurrency} at once"
    rate = None if throttle.per_second is None else f"{throttle.per_second:g} per second"
    lasting = None if throttle.lasting is None else f"for {throttle.lasting}"
    return ", ".join(part for part in (at_once, rate, lasting) if part)
