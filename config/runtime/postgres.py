"""An embedded PostgreSQL server, shared by every Tandem process that uses the same data directory.

Whoever needs the database enters `database(...)`. The first one starts the server, the last one out stops it; the
count of users is a shared file lock, which the kernel takes back from a process however it dies. The server runs in a
session of its own, so that a Ctrl-C meant for Tandem reaches it only through us. Should the last user be killed, a
warden stops the server in its place.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config.runtime.application_role import see_to_application_database, see_to_application_role
from config.runtime.binaries import Account, choose_account, find_binaries
from config.runtime.cluster import APPLICATION, SUPERUSER, Cluster
from config.runtime.errors import DatabaseUnavailable
from config.runtime.files import ROOT, DataDirectory
from config.runtime.ports import free_port, is_free

START_SECONDS = 120.0  # recovery after a crash reads the log of all that was not yet written back
RETRY_SECONDS = 10.0  # what the remains of a killed server need to notice and leave
POLL_SECONDS = 0.02

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP alone: no path limit, nothing to protect under /tmp
    "max_connections": "200",
    "shared_buffers": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
SPEED_OVER_SAFETY = {"fsync": "off", "full_page_writes": "off"}  # a killed server still loses nothing


@dataclass(frozen=True)
class Database:
    """Where the database is. `listen_url` bypasses a pooler that stands before `url`."""

    url: str
    listen_url: str
    server: "Server | None" = None

    def named(self, name: str) -> "Database":
        """Another database of the embedded server, made if there is none; a server that is not ours has only one."""
        if not self.server:
            return self
        see_to_application_database(self.server.url(SUPERUSER), name)
        url = self.server.url(APPLICATION, name)
        return Database(url, url, self.server)

    @property
    def pid(self) -> int | None:
        """The embedded server's process; None when the server is somebody else's or is down."""
        state = self.server.cluster.server() if self.server else None
        return state.pid if state else None

    def revive(self) -> bool:
        """Start the embedded server again if it died; True when that was necessary."""
        return self.server.revive() if self.server else False


@contextmanager
def database(data_dir: Path, *, durable: bool = True, may_create_databases: bool = False) -> Iterator[Database]:
    """The server DATABASE_URL names; without it the embedded one of `data_dir`, running until its last user leaves.

    `durable=False` trades safety in a power cut for speed: for tests only. `may_create_databases` lets the
    application's role do so, which a test runner needs. Raises DatabaseUnavailable.
    """
    if url := os.environ.get("DATABASE_URL"):
        yield Database(url, os.environ.get("DATABASE_LISTEN_URL") or url)
        return
    server = Server(data_dir, durable=durable, may_create_databases=may_create_databases)
    with server.in_use():
        yield Database(server.url(APPLICATION), server.url(APPLICATION), server)


class Server:
    """The embedded server of one data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        may_create_databases: bool = False,
        account: Account | None = None,
    ) -> None:
        directory = DataDirectory(data_dir.resolve())
        self.cluster = Cluster(directory.path / "postgres")
        self.log_file = directory.logs / "postgres.log"
        self.durable = durable
        self.may_create_databases = may_create_databases
        self._account = account
        self._child: subprocess.Popen[bytes] | None = None
        self._warden: subprocess.Popen[bytes] | None = None

    def url(self, role: str, name: str | None = None) -> str:
        port = self.cluster.preferred_port()
        password = quote(self.cluster.password(role), safe="")
        return f"postgresql://{role}:{password}@127.0.0.1:{port}/{name or role}"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the server running for as long as the block lasts."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        users = self.cluster.open_users()
        try:
            with self.cluster.alone():
                fcntl.flock(users, fcntl.LOCK_SH)
                if not self.cluster.server():
                    self._appoint_warden()
                self._start()
            yield
        finally:
            with self.cluster.alone():
                if self.cluster.is_last(users):
                    self.cluster.stop()
                    self._dismiss_warden()
            os.close(users)

    def erase(self) -> None:
        """Delete the cluster. Raises DatabaseUnavailable while somebody uses it."""
        users = self.cluster.open_users()
        try:
            with self.cluster.alone():
                if not self.cluster.is_last(users):
                    raise DatabaseUnavailable(
                        f"The database in {self.cluster.place} is in use; stop that command first."
                    )
                self.cluster.stop()
                shutil.rmtree(self.cluster.data, ignore_errors=True)
        finally:
            os.close(users)

    def revive(self) -> bool:
        """Start the server again if it died. Raises DatabaseUnavailable."""
        if self.cluster.server():
            return False
        with self.cluster.alone():
            if self.cluster.server():
                return False  # another user was faster
            self._start(port=self.cluster.preferred_port())
        return True

    def _appoint_warden(self) -> None:
        """Have somebody stop the server should its last user be killed."""
        with self.log_file.open("ab") as log:
            self._warden = subprocess.Popen(
                [sys.executable, "-m", "config.runtime.warden", str(self.cluster.place)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _dismiss_warden(self) -> None:
        """Nothing is left to watch. A warden that another process appointed finds that out by itself."""
        if self._warden:
            self._warden.kill()
            self._warden.wait()
            self._warden = None

    # --- starting -----------------------------------------------------------------------------------------------

    def _start(self, port: int | None = None) -> None:
        """Make the cluster if there is none, start a server on it if there is none, and see to its roles.

        `port` must be kept when processes already know it; else the last one is taken if it is still free.
        """
        if not self.cluster.server():
            binaries = find_binaries()
            account = self._account or choose_account()
            if not self.cluster.data.exists():
                self.cluster.create(binaries, account, durable=self.durable)
            self.cluster.check_version(binaries)
            self._reap()
            self.cluster.drop_foreign_pid_file()
            self._launch([*account.prefix, binaries.program("postgres")], account, port)
        self._wait_until(lambda: self._is_ready(), START_SECONDS, "did not become ready")
        see_to_application_role(self.url(SUPERUSER), self.cluster, may_create_databases=self.may_create_databases)

    def _launch(self, program: list[str], account: Account, port: int | None) -> None:
        """Start the process; again for a while when what a killed server left behind is still in the way."""
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            if port and not is_free(port) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                continue
            chosen = port or free_port(self.cluster.preferred_port())
            self.cluster.keep_port(chosen)
            child = self._spawn([*program, *self._arguments(chosen)], account)
            if self._came_up(child):
                self._child = child
                return
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"PostgreSQL does not start. {self._last_words()}")
            time.sleep(0.2)

    def _spawn(self, command: list[str], account: Account) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,
                **account.process_options,
            )

    def _arguments(self, port: int) -> list[str]:
        settings = {**SETTINGS, **({} if self.durable else SPEED_OVER_SAFETY), "port": str(port)}
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return ["-D", str(self.cluster.data), *options]

    def _came_up(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait until the server has written its pid file; False when it exited instead."""
        while child.poll() is None:
            state = self.cluster.server()
            if state and state.pid == child.pid:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _is_ready(self) -> bool:
        state = self.cluster.server()
        if not state:
            raise DatabaseUnavailable(f"PostgreSQL stopped while it was starting. {self._last_words()}")
        return state.ready

    def _wait_until(self, condition: Callable[[], bool], seconds: float, failure: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"PostgreSQL {failure} within {seconds:.0f} s. {self._last_words()}")
            time.sleep(POLL_SECONDS)

    def _last_words(self) -> str:
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return f"The end of {self.log_file}:\n" + "\n".join(text.splitlines()[-8:])

    def _reap(self) -> None:
        """Let a server of ours that ended go for good: its pid would look alive to the next one."""
        if self._child:
            self._child.poll()
