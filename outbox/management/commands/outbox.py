"""`manage.py outbox …`: the verbs of outbox/cli, as the person at the terminal."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outbox.cli import contracts, dead_letters, flow, following, queue, replay, retention, verify
from outbox.cli.terminal import Terminal, Verbs
from outbox.context import scope
from outbox.errors import OutboxError

MODULES = (
    queue,
    following,
    dead_letters,
    flow,
    replay,
    retention,
    verify,
    contracts,
)
"""Each declares its verbs, in the order of the help."""


class Command(BaseCommand):
    """One subcommand per verb; each prints a table, or one JSON document with --json."""

    help = "Look at the queue, decide about dead letters, pause consumers, follow, replay and prune, check contracts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands; each names the function that does it."""
        verbs = Verbs(parser)
        for module in MODULES:
            module.declare(verbs)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand as the person at the terminal."""
        try:
            with scope(actor=f"command:{getpass.getuser()}"):
                options["run"](options, Terminal(self.stdout, self.stderr, options["json"]))
        except OutboxError as error:
            raise CommandError(str(error)) from error
