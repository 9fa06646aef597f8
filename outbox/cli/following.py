"""Watching messages come: `follow`."""

import time
from uuid import UUID

import msgspec

from outbox.cli.terminal import Options, Terminal, Verbs
from outbox.contracts import contract_named
from outbox.following import Follower, Said

LOOK_SECONDS = 0.5


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = verbs.add("follow", "print messages as they come, until Ctrl-C; with --json one document a line", _follow)
    parser.add_argument("--name", action="append", help="only messages of this contract; more than once for more")
    parser.add_argument("--aggregate", type=UUID, metavar="ID", help="only messages about this one")
    parser.add_argument("--seconds", type=float, help="stop after so long")


def _follow(options: Options, terminal: Terminal) -> None:
    names = [contract_named(name).name for name in options["name"] or ()]
    follower = Follower(names, options["aggregate"])
    end = time.monotonic() + (options["seconds"] if options["seconds"] is not None else float("inf"))
    try:
        while True:
            last = time.monotonic() >= end
            for said in follower.look():
                terminal.out.write(_line(said, json=terminal.json))
            if last:
                return
            time.sleep(max(0.0, min(LOOK_SECONDS, end - time.monotonic())))
    except KeyboardInterrupt:
        return


def _line(said: Said, *, json: bool) -> str:
    if json:
        return msgspec.json.encode(said).decode()
    return (
        f"{said.created_at:%H:%M:%S.%f}  {said.name} v{said.version}  {said.aggregate} {said.aggregate_id}  {said.id}"
    )
