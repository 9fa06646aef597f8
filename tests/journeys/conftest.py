"""The whole system, started by its front door."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.runtime.files import ROOT
from config.runtime.ports import free_port
from tests.reporting import needs
from tests.runtime.waiting import eventually

SETTLED = {"completed", "rejected", "cancelled"}


@dataclass
class System:
    """A running `./tandem up`, as a customer and an operator see it."""

    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def demo(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return found

    def pid(self, name: str) -> int:
        return int(json.loads((self.home / "processes.json").read_text())[name])

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def customer(self, key: str = "api_key") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.demo[key]}"}
        return httpx.Client(base_url=self.demo["base_url"], headers=headers, timeout=20)

    @contextmanager
    def staff(self) -> Iterator[httpx.Client]:
        """The browser of the demo's operator, signed in."""
        site = self.demo["base_url"]
        with httpx.Client(base_url=site, timeout=20, headers={"Referer": site}) as client:
            client.get("/staff/sign-in/")
            form = {**self.demo["operator"], "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            answer = client.post("/staff/sign-in/", data=form)
            assert answer.status_code == 302, answer.text
            yield client

    def sandbox(self, method: str, path: str, **arguments: Any) -> Any:
        answer = httpx.request(method, self.demo["sandbox_url"] + path, timeout=20, **arguments)
        answer.raise_for_status()
        return answer.json()

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.demo['base_url']}/health/ready", timeout=2).status_code == 200
        except (httpx.HTTPError, OSError, ValueError):
            assert self.process.poll() is None, "`./tandem up` has ended"
            return False

    def verify(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "config.runtime", "manage", "--data", str(self.home), "verify", "--json"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            check=False,
        )
        report: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == report["broken"]
        return report

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def environment() -> dict[str, str]:
    """The environment without what the test run itself set."""
    own = ("DATABASE_URL", "DATABASE_LISTEN_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR")
    prefixes = ("PAYMENT_", "CARRIER_", "TANDEM_")
    return {k: v for k, v in os.environ.items() if k not in own and not k.startswith(prefixes)}


@pytest.fixture(scope="module")
def start_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., System]]:
    """Start `./tandem up`; everything that was started is stopped at the end."""
    if not (ROOT / ".venv-sandbox").exists():
        needs("localstripe")
    running: list[System] = []

    def start(*options: str, home: Path | None = None) -> System:
        home = home or tmp_path_factory.mktemp("system")
        with (home / "up.log").open("ab") as log:
            command = [sys.executable, "-m", "config.runtime", "up", "--data", str(home), "--port", str(free_port())]
            process = subprocess.Popen([*command, *options], cwd=ROOT, env=environment(), stdout=log, stderr=log)
        system = System(home, process)
        running.append(system)
        eventually(lambda: (home / "demo.json").exists() and system.ready(), 90)
        return system

    yield start
    for system in running:
        if system.process.poll() is None:
            report = system.verify()
            assert system.stop() == 0
            assert report["broken"] == 0, report
