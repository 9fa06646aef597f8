"""The embedded server's files: the database cluster, its credentials, the locks of its users, its pid file."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.runtime.binaries import Account, Binaries
from config.runtime.errors import DatabaseUnavailable
from config.runtime.files import read_json, write_json, write_text

SUPERUSER = "postgres"
APPLICATION = "tandem"
READY_LINE = 7
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ServerState:
    """What a running server says about itself."""

    pid: int
    port: int
    ready: bool


class Cluster:
    """A PostgreSQL data directory and the files beside it, all under `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = place / "cluster"
        self.mutex = place / "mutex.lock"
        self.users = place / "users.lock"
        self.port_file = place / "port"
        self.pid_file = self.data / "postmaster.pid"
        self.credentials_file = place / "credentials.json"

    def password(self, role: str) -> str:
        return str(read_json(self.credentials_file)[role])

    def preferred_port(self) -> int | None:
        return int(self.port_file.read_text()) if self.port_file.exists() else None

    def keep_port(self, port: int) -> None:
        write_text(self.port_file, f"{port}\n")

    def create(self, binaries: Binaries, account: Account, *, durable: bool) -> None:
        """Make the cluster under a temporary name and rename it: a kill half-way leaves nothing that looks whole."""
        if not self.credentials_file.exists():
            passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, APPLICATION)}
            write_json(self.credentials_file, passwords, mode=0o600)
        for abandoned in self.place.glob("initialising-*"):
            shutil.rmtree(abandoned)
        draft = self.place / f"initialising-{secrets.token_hex(4)}"
        draft.mkdir(mode=0o700)
        account.own(draft)
        self._initialise(draft, binaries, account, durable=durable)
        draft.rename(self.data)

    def _initialise(self, draft: Path, binaries: Binaries, account: Account, *, durable: bool) -> None:
        password_file = self.place / f"{draft.name}.password"
        write_text(password_file, self.password(SUPERUSER), mode=0o600)
        account.own(password_file)
        command = [*account.prefix, binaries.program("initdb"), "--pgdata", str(draft), *initdb_options(binaries)]
        command += ["--pwfile", str(password_file), *([] if durable else ["--no-sync"])]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd="/", **account.process_options
            )
        finally:
            password_file.unlink()
        if result.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise DatabaseUnavailable(
                f"PostgreSQL could not make its data directory in {self.place}: {result.stderr.strip()}\n"
                "Put the data elsewhere with --data, or set DATABASE_URL to a server that already runs."
            )

    def check_version(self, binaries: Binaries) -> None:
        """Raises DatabaseUnavailable when another major version made this cluster."""
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(binaries.major):
            raise DatabaseUnavailable(
                f"{self.data} was made by PostgreSQL {made_by}, but the programs at hand are version {binaries.major}. "
                f"Set PG_BIN to a directory with PostgreSQL {made_by}, or move the data away with "
                "`./tandem up --fresh` (which deletes it) or --data (which leaves it)."
            )

    # --- sharing the server between processes ---

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time decides whether the server starts or stops."""
        mutex = os.open(self.mutex, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            yield
        finally:
            os.close(mutex)

    def open_users(self) -> int:
        """A descriptor of the file whose shared lock marks a user of the server."""
        self.place.mkdir(parents=True, exist_ok=True)
        return os.open(self.users, os.O_RDWR | os.O_CREAT, 0o600)

    def is_last(self, users: int) -> bool:
        """Whether nobody else shares the lock; gives our own share up either way."""
        fcntl.flock(users, fcntl.LOCK_UN)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, everything committed is kept; immediate when that takes too long.

        Raises DatabaseUnavailable when the server does not end even then.
        """
        if not (state := self.server()):
            return
        for request in (signal.SIGINT, signal.SIGQUIT):
            with suppress(ProcessLookupError):
                os.kill(state.pid, request)
            if self._has_stopped(state):
                return
        raise DatabaseUnavailable(f"PostgreSQL (process {state.pid}) does not stop. Its log says why.")

    def _has_stopped(self, state: ServerState) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            current = self.server()
            if not current or current.pid != state.pid:
                return True
            time.sleep(POLL_SECONDS)
        return False

    # --- what the files tell ---

    def server(self) -> ServerState | None:
        """The server that runs on this cluster; None when none does, whatever a stale pid file says."""
        try:
            lines = self.pid_file.read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None  # the file comes and goes with the server, and is short while it starts
        if not self._is_our_server(pid):
            return None
        return ServerState(pid, port, len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready")

    def _is_our_server(self, pid: int) -> bool:
        """Pids are recycled: the process must be a living postgres, started on this directory."""
        try:
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.name() == "postgres" and str(self.data) in process.cmdline()
        except psutil.Error:
            return False

    def drop_foreign_pid_file(self) -> None:
        """Remove a pid file whose pid now belongs to a stranger: PostgreSQL would refuse to start for ever.

        A pid file of a dead process is left to PostgreSQL, which checks it and the shared memory it names. Backends
        of the old server that still live keep the file too.
        """
        try:
            pid = int(self.pid_file.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        if psutil.pid_exists(pid) and not self._is_our_server(pid) and not self._has_backends():
            self.pid_file.unlink()

    def _has_backends(self) -> bool:
        for process in psutil.process_iter(["name", "cwd"]):
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self.data):
                return True
        return False


def initdb_options(binaries: Binaries) -> list[str]:
    options = ["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"]
    if binaries.major >= 17:
        return [*options, "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    return [*options, "--locale", "C.UTF-8"]
