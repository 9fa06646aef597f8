"""A stand-by of a test's server, made and promoted as an operator would do it."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from config.runtime.binaries import choose_account, find_binaries
from config.runtime.cluster import SUPERUSER
from config.runtime.ports import free_port
from config.runtime.postgres import Server
from tests.faults.proxy import Proxy, proxied
from tests.runtime.waiting import eventually

NAME = "standby"


@dataclass
class StandBy:
    """A second server that follows the first one until it is promoted."""

    primary: Server
    port: int
    line: Proxy
    """What it receives comes this way."""

    def session(self) -> psycopg.Connection:
        """Return a superuser's session here."""
        url = urlsplit(self.primary.url(SUPERUSER))
        netloc = f"{url.netloc.rpartition(':')[0]}:{self.port}"
        return psycopg.connect(url._replace(netloc=netloc).geturl(), autocommit=True)

    def follows(self) -> bool:
        """Tell whether it has all that the primary has."""
        with psycopg.connect(self.primary.url(SUPERUSER)) as master:
            row = master.execute(
                "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication WHERE application_name = %s", [NAME]
            ).fetchone()
        return row == (True,)

    def stop_receiving(self) -> None:
        """Let nothing more of the primary arrive, as on a congested line."""
        self.line.black_hole()

    def promote(self) -> None:
        """Make it the primary; the former one must be dead."""
        with self.session() as own:
            assert own.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)


@contextmanager
def standing_by(primary: Server, home: Path) -> Iterator[StandBy]:
    """Run a stand-by of `primary`."""
    port = free_port()
    source = urlsplit(primary.url(SUPERUSER))
    with proxied("127.0.0.1", source.port or 5432) as line:
        netloc = f"{source.netloc.rpartition(':')[0]}:{line.port}"
        url = source._replace(netloc=netloc, query=f"application_name={NAME}").geturl()
        with _server(_copy(url, home), port):
            running = StandBy(primary, port, line)
            eventually(running.follows, 30)
            yield running


def _copy(url: str, home: Path) -> Path:
    """Copy the whole server at `url`, told to follow it; return the copy's data directory."""
    binaries, account = find_binaries(), choose_account()
    home.mkdir(mode=0o700)
    account.own(home)
    data = home / "cluster"
    backup = [*account.prefix, binaries.program("pg_basebackup"), "-D", str(data), "-R", "-c", "fast", "-d", url]
    subprocess.run(backup, check=True, capture_output=True, cwd="/", **account.process_options)
    return data


@contextmanager
def _server(data: Path, port: int) -> Iterator[None]:
    account = choose_account()
    settings = {"port": port, "unix_socket_directories": "", "listen_addresses": "127.0.0.1", "max_connections": 60}
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    command = [*account.prefix, find_binaries().program("postgres"), "-D", str(data), *options]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    with subprocess.Popen(command, **quiet, **account.process_options) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
