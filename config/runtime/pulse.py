"""What `up` looks after besides its programs: the database server, and telling when all is ready."""

import time

from config.runtime.announcement import Announcement
from config.runtime.console import Console
from config.runtime.errors import DatabaseUnavailable
from config.runtime.postgres import Database

RETRY_SECONDS = 2.0


class Pulse:
    """Called by the supervisor several times a second."""

    def __init__(self, database: Database, announcement: Announcement, console: Console) -> None:
        self._database = database
        self._announcement = announcement
        self._console = console
        self._next_attempt = 0.0

    def __call__(self) -> dict[str, int]:
        """Keep the database running; returns its process, by name, for the list of processes."""
        if time.monotonic() >= self._next_attempt:
            self._revive()
        if text := self._announcement.due():
            self._console.block(text)
        pid = self._database.pid
        return {"postgres": pid} if pid else {}

    def _revive(self) -> None:
        try:
            if self._database.revive():
                self._console.line("postgres", "had died and was started again")
        except DatabaseUnavailable as error:
            self._next_attempt = time.monotonic() + RETRY_SECONDS
            self._console.line("postgres", f"cannot be started; trying again in {RETRY_SECONDS:.0f} s. {error}")
