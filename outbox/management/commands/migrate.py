"""`manage.py migrate`: changes the schema while web and workers go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connection

from outbox.conf import conf

LOCK_SECONDS = 1
"""How long a change waits for its table. Whoever comes behind it waits as well, even to read: so not long."""
PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
ONE_AT_A_TIME = 0x0B0E_0002
LOCK_NOT_AVAILABLE = "55P03"


class Command(migrate.Command):
    """Django's command, which waits for no lock for long, and for its own work as long as that takes."""

    help = f"{migrate.Command.help} Gives way where a table is in use, and tries again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --patience."""
        super().add_arguments(parser)
        words = "seconds for which a table in use is tried again (%(default)s)"
        parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help=words)

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; whatever a migration had begun when it gave way is rolled back."""
        until = time.monotonic() + options["patience"]
        with gently():
            while not self._migrated(args, options, until):
                time.sleep(PAUSE_SECONDS)

    def _migrated(self, args: Any, options: Any, until: float) -> bool:
        try:
            with alone():
                super().handle(*args, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE or time.monotonic() > until:
                raise
            self.stderr.write(f"A table is in use, or somebody else migrates. Tried again in {PAUSE_SECONDS:g} s.")
            return False
        return True


def _has_session() -> bool:
    """Tell whether settings and locks of the session hold: not so behind a pooler in transaction mode."""
    return not conf.DATABASE_LISTEN_URL


@contextmanager
def gently() -> Iterator[None]:
    """Wait for locks shortly, and without any limit for what then is done."""
    if not _has_session():
        yield
        return
    connection.ensure_connection()
    own = connection.connection
    former = getattr(own, "answer_seconds", None)
    if hasattr(own, "answer_seconds"):
        own.answer_seconds = None
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = 0")
    try:
        with connection.execute_wrapper(_wait_for_concurrent_work):
            yield
    finally:
        if hasattr(own, "answer_seconds"):
            own.answer_seconds = former
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout; RESET statement_timeout")


def _wait_for_concurrent_work(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Let CREATE INDEX CONCURRENTLY wait for old transactions: nobody waits behind it, and giving up leaves a ruin."""
    if "CONCURRENTLY" not in str(sql).upper():
        return execute(sql, params, many, context)
    execute("SET lock_timeout = 0", None, False, context)
    try:
        return execute(sql, params, many, context)
    finally:
        execute(f"SET lock_timeout = '{LOCK_SECONDS}s'", None, False, context)


@contextmanager
def alone() -> Iterator[None]:
    """Keep others from migrating the same database meanwhile."""
    if not _has_session():
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (ONE_AT_A_TIME,))
