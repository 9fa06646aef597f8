"""A real worker cluster under the real supervisor, on the test's own database."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from django.db import connection

from outbox.models import Worker
from tests.runtime.waiting import eventually, is_alive

ROLES = ("sentinel", "monitor", "pusher", "worker")


def database_url() -> str:
    """The address of the test's own database."""
    settings = connection.settings_dict
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    host = settings["HOST"] or "127.0.0.1"
    return f"postgres://{settings['USER']}{password}@{host}:{settings['PORT'] or 5432}/{settings['NAME']}"


@dataclass
class RunningCluster:
    """Handles to a cluster that a supervisor keeps alive."""

    supervisor: "subprocess.Popen[bytes]"
    home: Path
    workers: int = 2

    def pids(self) -> dict[str, int]:
        """The present processes by name; empty while the list is being written for the first time."""
        path = self.home / "processes.json"
        if not path.exists():
            return {}
        named: dict[str, int] = json.loads(path.read_text())
        return {name: pid for name, pid in named.items() if is_alive(pid)}

    def whole(self) -> bool:
        """Whether every process of one cluster is there and its workers have signed in."""
        names = self.pids()
        needed = {"cluster", "sentinel", "monitor", "pusher", *(f"worker-{n + 1}" for n in range(self.workers))}
        signed_in = Worker.objects.filter(pid__in=names.values()).values_list("pid", flat=True)
        return needed <= set(names) and len(set(signed_in)) == self.workers

    def mains(self) -> list[int]:
        """The main processes of clusters under this supervisor: must be one at most."""
        children = psutil.Process(self.supervisor.pid).children()
        return [child.pid for child in children if "qcluster" in " ".join(child.cmdline())]

    def log(self) -> str:
        """What the cluster has written so far."""
        return (self.home / "log" / "cluster.log").read_text()


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[RunningCluster]:
    """Two workers at work."""
    yield from run_cluster(tmp_path, {})


@pytest.fixture
def cluster_with(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., RunningCluster]]:
    """Start a cluster with further environment."""
    started = []

    def start(**environment: str) -> RunningCluster:
        generator = run_cluster(tmp_path, environment)
        started.append(generator)
        return next(generator)

    yield start
    for generator in started:
        next(generator, None)


def run_cluster(
    home: Path, extra: dict[str, str], *, web_port: int | None = None, prefix: Sequence[str] = ()
) -> Iterator[RunningCluster]:
    """Run two workers, and the web server where a port is given for it, on the database that Django is connected to.

    `prefix` stands before the command of the cluster, to run it somewhere else.
    """
    run = home / "run"
    run.mkdir()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TANDEM_RUN_DIR": str(run),
        "TANDEM_WORKERS": "2",
        "COVERAGE_PROCESS_START": "",
        **extra,
    }
    command = [*prefix, sys.executable, "manage.py", "qcluster"]
    programs = [{"name": "cluster", "command": command, "environment": environment}]
    if web_port:
        web = [sys.executable, "-m", "gunicorn", "--config", "python:config.runtime.gunicorn"]
        web += ["--bind", f"127.0.0.1:{web_port}", "config.asgi:application"]
        programs.append({"name": "web", "command": web, "environment": environment})
    with subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.supervised", str(home), json.dumps(programs)],
        stdout=subprocess.DEVNULL,
        env=environment,
    ) as supervisor:
        running = RunningCluster(supervisor, home, workers=int(environment["TANDEM_WORKERS"]))
        try:
            eventually(running.whole, 30)
            yield running
        finally:
            supervisor.terminate()
            supervisor.wait(40)
