"""PgBouncer in transaction mode before a server, as docs/how-to/run-on-your-own-postgresql.md describes it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from config.runtime.binaries import choose_account
from config.runtime.cluster import APPLICATION, SUPERUSER
from config.runtime.files import ROOT
from config.runtime.ports import free_port
from config.runtime.postgres import Server
from tests.reporting import needs
from tests.runtime.waiting import eventually

HOW_TO = ROOT / "docs/how-to/run-on-your-own-postgresql.md"
POOL_SIZE = 6
DIRECT = "direct"
"""What sessions that bypass the pooler call themselves, so that the server's log tells them apart."""
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
auth_type = scram-sha-256
auth_file = {users}
default_pool_size = {size}
query_wait_timeout = 2
logfile = {log}
"""


@dataclass
class Pooler:
    """A running pooler, and both ways to the server."""

    server: Server
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """The way through the pool."""
        direct = urlsplit(self.server.url(APPLICATION))
        return direct._replace(netloc=f"{direct.netloc.rpartition(':')[0]}:{self.port}").geturl()

    @property
    def listen_url(self) -> str:
        """The way past it."""
        return f"{self.server.url(APPLICATION)}?application_name={DIRECT}"

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2, prepare_threshold=None) as link:
                return link.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            assert self.process.poll() is None, "pgbouncer has ended"
            return False


@contextmanager
def pooled(server: Server, home: Path) -> Iterator[Pooler]:
    """Run PgBouncer before `server`, whose role has the limits that the how-to asks for."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if not program:
        needs("pgbouncer")
    _limit_role(server)
    files, port = {name: home / f"pgbouncer.{name}" for name in ("ini", "users", "log")}, free_port()
    files["users"].write_text(f'"{APPLICATION}" "{server.cluster.password(APPLICATION)}"\n')
    files["ini"].write_text(
        CONFIGURATION.format(
            port=port,
            server_port=server.cluster.preferred_port(),
            users=files["users"],
            log=files["log"],
            size=POOL_SIZE,
        )
    )
    account = choose_account()  # like PostgreSQL it refuses to be root
    for path in (home, files["ini"], files["users"]):
        account.own(path)
    command = [*account.prefix, program, "-q", str(files["ini"])]
    with subprocess.Popen(command, cwd="/", **account.process_options) as process:
        try:
            pooler = Pooler(server, port, process)
            eventually(pooler.answers)
            yield pooler
        finally:
            process.terminate()


def _limit_role(server: Server) -> None:
    statements = re.findall(r"^ALTER ROLE tandem .*;$", HOW_TO.read_text(), re.MULTILINE)
    assert len(statements) >= 4
    with psycopg.connect(server.url(SUPERUSER), autocommit=True) as master:
        for statement in statements:
            master.execute(statement)
