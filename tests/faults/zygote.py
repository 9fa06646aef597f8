"""Runs a worker that kills itself at its n-th event. Forked from this process, which has everything loaded already.

Usage: python -m tests.faults.zygote; each line of input is {"crash_at": AT, "trace": PATH}, each line of output
{"killed": bool, "code": n}. Events are SQL statements, COMMITs and calls to the outside, written to `trace` as they
come; AT is the number of one, or its words, or null.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

django.setup()

from outbox.engine import shift  # noqa: E402 - needs the apps
from outbox.models import Delivery  # noqa: E402
from tests.conftest import UNFINISHED  # noqa: E402
from tests.faults import crash_flows  # noqa: E402

PATIENCE_SECONDS = 20.0


class Countdown:
    """Counts the events of this process, and ends it right before the chosen one happens."""

    def __init__(self, crash_at: int | str | None, trace: str) -> None:
        self._crash_at = crash_at
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._lock = threading.Lock()
        self._passed = 0
        self._paused: int | None = None

    def passing(self, event: str) -> None:
        """Count an event that is about to happen."""
        if self._paused == threading.get_ident():
            return
        with self._lock:
            self._passed += 1
            os.write(self._trace, (" ".join(event.split())[:100] + "\n").encode())
            if self._crash_at in (self._passed, event):
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do something in this thread that is not part of the flow."""
        self._paused = threading.get_ident()
        yield
        self._paused = None

    def watch(self) -> None:
        """Have every statement, COMMIT and call counted."""
        commit, execute = BaseDatabaseWrapper._commit, psycopg.Connection.execute

        def counted_commit(wrapper: BaseDatabaseWrapper) -> None:
            self.passing("COMMIT")
            commit(wrapper)

        def counted_execute(own: psycopg.Connection, query: str, *arguments: Any, **options: Any) -> Any:
            self.passing(f"own connection: {query}")
            return execute(own, query, *arguments, **options)

        BaseDatabaseWrapper._commit = counted_commit
        psycopg.Connection.execute = counted_execute
        crash_flows.passing = self.passing

    def statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Count one statement (an execute wrapper)."""
        self.passing(sql)
        return execute(sql, *rest)


def work(countdown: Countdown) -> None:
    """Work until nothing is left, as a worker process does."""

    def finished() -> bool:
        with countdown.paused():
            return not Delivery.objects.filter(state__in=UNFINISHED).exists()

    signal.alarm(int(PATIENCE_SECONDS))
    countdown.watch()
    with connection.execute_wrapper(countdown.statement):
        while not finished():
            shift.run_shift(finished, seconds=5.0)
        with countdown.paused():
            shift.sign_out()


def run(crash_at: int | str | None, trace: str) -> dict[str, Any]:
    """Run one worker; tell how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work(Countdown(crash_at, trace))
        finally:
            os._exit(int(sys.exc_info()[0] is not None))
    _, status = os.waitpid(pid, 0)
    return {"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "code": status}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
