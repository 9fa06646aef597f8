"""The commands that run one program in front of the caller: `test`, `bench` and `manage`."""

import fcntl
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from config.runtime.cluster import Cluster
from config.runtime.environment import demo_environment, test_environment
from config.runtime.errors import StartupError
from config.runtime.files import DataDirectory
from config.runtime.foreground import PYTHON, run
from config.runtime.postgres import database


class Call(NamedTuple):
    """A command's data directory and what remains of its arguments."""

    data: DataDirectory
    arguments: list[str]


def test(arguments: Sequence[str]) -> int:
    """pytest on a test cluster, which is fast because it may lose data in a power cut."""
    data = DataDirectory(DataDirectory.named(None).path / "test")
    data.make()
    with database(data.path, durable=False, may_create_databases=True) as server, place_of_run(data) as number:
        environment = test_environment(data, server.named("tandem" if number == 1 else f"tandem_{number}"))
        if "--all" in arguments:
            environment["TANDEM_TEST_ALL"] = "1"
        passed_on = [argument for argument in arguments if argument != "--all"]
        if os.environ.get("CI"):
            passed_on += ["--cov", "--cov-report=term:skip-covered"]
        return run([PYTHON, "-m", "pytest", *passed_on], environment)


@contextmanager
def place_of_run(data: DataDirectory) -> Iterator[int]:
    """The lowest number that no other run in this directory has now: two runs must not share a database."""
    for number in itertools.count(1):
        with (data.path / f"run-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return


def bench(arguments: Sequence[str]) -> int:
    """The benchmarks, on a durable server of their own; results go to bench.json in the data directory."""
    call = split_data_option(arguments, anywhere=True)
    place = DataDirectory(call.data.path / "bench")
    place.make()
    with database(place.path, may_create_databases=True) as server:
        environment = {**test_environment(call.data, server), "DJANGO_SETTINGS_MODULE": "config.settings"}
        return run([PYTHON, "-m", "tests.bench", *call.arguments], environment)


def manage(arguments: Sequence[str]) -> int:
    """manage.py with the environment of a data directory, whose server is started unless `up` runs it already.

    Only `migrate` makes a database where there is none. Raises StartupError.
    """
    call = split_data_option(arguments)
    if call.arguments[:1] != ["migrate"] and not has_database(call.data):
        raise StartupError(
            f"There is no database in {call.data.path}. Name the directory of an installation with --data in front of "
            "the command, or make one with ./tandem up."
        )
    call.data.make()
    with database(call.data.path) as server:
        return run([PYTHON, "manage.py", *call.arguments], demo_environment(call.data, server))


def has_database(data: DataDirectory) -> bool:
    return bool(os.environ.get("DATABASE_URL")) or Cluster(data.path / "postgres").data.exists()


def split_data_option(arguments: Sequence[str], *, anywhere: bool = False) -> Call:
    """Take `--data DIR` out of `arguments`; only in front unless `anywhere`, as what follows is another program's."""
    remaining = list(arguments)
    for position, argument in enumerate(remaining):
        if argument == "--data" and position + 1 < len(remaining):
            name = remaining[position + 1]
            return Call(DataDirectory.named(name), remaining[:position] + remaining[position + 2 :])
        if argument.startswith("--data="):
            name = argument.removeprefix("--data=")
            return Call(DataDirectory.named(name), remaining[:position] + remaining[position + 1 :])
        if argument == "--data":
            raise StartupError("--data needs a directory.")
        if not anywhere:
            break
    return Call(DataDirectory.named(None), remaining)
