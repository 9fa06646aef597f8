"""`./tandem up`: everything a demo installation needs, in the foreground, until it is told to stop."""

import argparse
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from config.runtime.announcement import Announcement
from config.runtime.console import Console
from config.runtime.environment import choose_sandboxes, demo_environment, multiprocess
from config.runtime.errors import AlreadyRunning, StartupError
from config.runtime.files import DataDirectory, read_json, write_json
from config.runtime.foreground import PYTHON, run_step
from config.runtime.ports import obstacle
from config.runtime.postgres import Database, Server, database
from config.runtime.processes import ProcessList, end_leftovers
from config.runtime.programs import programs
from config.runtime.pulse import Pulse
from config.runtime.supervisor import Supervisor

LOOPBACK = ("127.0.0.1", "::1", "localhost")
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound to


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    data: DataDirectory
    host: str
    port: int
    workers: int
    fresh: bool

    @property
    def bind(self) -> str:
        return socket_address(self.host, self.port)

    @property
    def base_url(self) -> str:
        """An address that works on this machine."""
        return "http://" + socket_address("127.0.0.1" if self.host in WILDCARDS else self.host, self.port)


def socket_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def up(arguments: Sequence[str]) -> int:
    """Set up, run until a signal, stop everything. Raises StartupError when it cannot."""
    options = parse(arguments)
    if not options.data.lock.exists():
        require_port(options)  # a mistake leaves no directory behind
    options.data.make()
    with only_one(options):  # before the port, which the other Tandem holds: its directory is the better hint
        require_port(options)
        if options.fresh:
            forget(options.data)
        empty(options.data)
        say("starting the database")
        with database(options.data.path) as server:
            serve(options, server)
    say("stopped")
    return 0


def parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./tandem up", description="Run everything in the foreground.")
    parser.add_argument("--port", type=int, default=8000, help="port of the web server (8000)")
    parser.add_argument("--data", metavar="DIR", help="where data, logs and demo.json live (var/)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="worker processes (2); 0 for none")
    parser.add_argument("--fresh", action="store_true", help="forget the data of this directory first")
    given = parser.parse_args(arguments)
    if not 0 < given.port < 65536:
        parser.error("--port must be between 1 and 65535")
    if not 0 <= given.workers <= 64:
        parser.error("--workers must be between 0 and 64")
    host = os.environ.get("HOST") or "127.0.0.1"
    return Options(DataDirectory.named(given.data), host, given.port, given.workers, given.fresh)


def require_port(options: Options) -> None:
    """Raises StartupError, with the reason, when the web server could not listen where it is asked to."""
    error = obstacle(options.port, options.host)
    if error is None:
        return
    place = f"Port {options.port} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        raise StartupError(f"{place} is taken by another program. Choose one with --port.") from error
    if error.errno == errno.EACCES:
        raise StartupError(f"{place} is not open to this user. Choose one from 1024 on with --port.") from error
    raise StartupError(f"{place} cannot be used ({error.strerror}). Look at HOST and --port.") from error


@contextmanager
def only_one(options: Options) -> Iterator[None]:
    """Refuse to run twice on the same data. Raises AlreadyRunning."""
    descriptor = os.open(options.data.lock, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"Tandem is already running on {options.data.path} (process {file.read().strip() or '?'}). Stop that "
                "one with Ctrl-C or SIGTERM, or choose another directory with --data."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def forget(data: DataDirectory) -> None:
    """Delete what earlier runs left in `data`. Raises StartupError when that is not ours to delete."""
    if os.environ.get("DATABASE_URL"):
        raise StartupError("--fresh deletes the embedded database only. Empty the one DATABASE_URL names yourself.")
    say(f"forgetting the data in {data.path}")
    Server(data.path).erase()
    for folder in (data.sandboxes, data.run, data.logs):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (data.demo, data.accounts, data.secrets, data.ports, data.processes):
        file.unlink(missing_ok=True)
    data.make()


def empty(data: DataDirectory) -> None:
    """Remove what was true only while an earlier run lasted, processes that survived its end included."""
    for group in end_leftovers(data.processes):
        say(f"ended processes that an earlier run had left (group {group})")
    shutil.rmtree(data.run, ignore_errors=True)
    data.make()


def serve(options: Options, server: Database) -> None:
    sandboxes = choose_sandboxes(options.data)
    environment = demo_environment(options.data, server)
    environment.update(TANDEM_BASE_URL=options.base_url, TANDEM_DEMO_FILE=str(options.data.accounts))
    environment.setdefault("ALLOWED_HOSTS", allowed_hosts(options.host))
    prepare(environment)
    write_demo(options, environment, sandboxes.switchboard)

    console = Console()
    running = multiprocess({**environment, "TANDEM_WORKERS": str(max(options.workers, 1))}, options.data)
    announcement = Announcement(options.base_url, options.data, workers=options.workers)
    supervisor = Supervisor(
        programs(
            options.data, sandboxes, running, base_url=options.base_url, bind=options.bind, workers=options.workers
        ),
        logs=options.data.logs,
        process_list=ProcessList(options.data.processes, options.data.run),
        console=console,
        on_pulse=Pulse(server, announcement, console),
    )
    supervisor.run()


def allowed_hosts(host: str) -> str:
    """Names the web server answers to: this machine's, and any name once HOST opens it to others."""
    return "127.0.0.1,localhost,[::1]" if host in LOOPBACK else "*"


def prepare(environment: dict[str, str]) -> None:
    """Bring the schema up to date and load the demo data, which changes nothing when it is there."""
    if run_step([PYTHON, "-m", "config.runtime.preparation"], environment) != 0:
        raise StartupError("The database could not be prepared; the reason is above.")


def write_demo(options: Options, environment: dict[str, str], sandbox_url: str | None) -> None:
    """demo.json: all that a script needs to use this installation."""
    content = {
        "base_url": options.base_url,
        **read_json(options.data.accounts),
        "sandbox_url": sandbox_url,
        "database_url": environment["DATABASE_URL"],
    }
    write_json(options.data.demo, content, mode=0o600)


def say(message: str) -> None:
    Console().block(f"tandem: {message}")
