"""The web server as it is in production, two processes of it, on the test's own database."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from config.runtime.files import ROOT
from config.runtime.ports import free_port
from tests.faults.conftest import database_url
from tests.runtime.waiting import eventually

PROCESSES = 2


@contextmanager
def web_server(home: Path, **settings: str) -> Iterator[str]:
    """Run it with these settings; yields the API's own URL."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "python:config.runtime.gunicorn"]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WEB_CONCURRENCY": str(PROCESSES),
        "COVERAGE_PROCESS_START": "",
        **settings,
    }
    with (
        (home / "web.log").open("wb") as log,
        subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{port}", "config.asgi:application"],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        ) as server,
    ):  # fmt: skip
        try:
            eventually(lambda: len(psutil.Process(server.pid).children()) == PROCESSES, 30)
            eventually(ready(f"http://127.0.0.1:{port}/health/ready", server), 30)
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            server.terminate()
            server.wait(40)


def ready(url: str, server: "subprocess.Popen[bytes]") -> Callable[[], bool]:
    """Return the question whether it answers by now."""

    def ask() -> bool:
        assert server.poll() is None, "the web server has ended"
        try:
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    return ask
