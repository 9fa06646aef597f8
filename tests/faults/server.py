"""A PostgreSQL of a test module's own, to be killed, filled up and sent through time; and the site on it."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from config.runtime import postgres
from config.runtime.cluster import APPLICATION, SUPERUSER
from config.runtime.postgres import Server
from tests.faults.conftest import RunningCluster
from tests.runtime.waiting import eventually, is_alive, kill
from tests.shop import make_caller, order_of

CONNECTIONS = 60
NOBODY = "http://127.0.0.1:9"
"""An outside that does not answer: nothing of these tests may leave the machine."""
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class TimeTraveller(Server):
    """A server whose clock is the system's, moved by what `clock` says."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        data_dir.mkdir(exist_ok=True)
        self.clock = data_dir / "clock"
        self.jump("+0")

    def jump(self, offset: str) -> None:
        """Move the clock, such as by "-1d"."""
        draft = self.clock.with_suffix(".draft")
        draft.write_text(offset + "\n")
        draft.rename(self.clock)

    def _spawn(self, command: list[str], account: Any) -> "subprocess.Popen[bytes]":
        faked = {
            "LD_PRELOAD": str(LIBFAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        prefix = len(account.prefix)
        variables = ["env", *(f"{name}={value}" for name, value in faked.items())]
        return super()._spawn([*command[:prefix], *variables, *command[prefix:]], account)


@contextmanager
def own_server(server: Server, **options: str) -> Iterator[Server]:
    """Run `server` with further options, with Django's connections of this process on it, migrated."""
    settings = connection.settings_dict
    former = dict(settings)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"max_connections": str(CONNECTIONS), **options}.items():
            patch.setitem(postgres.SETTINGS, name, value)
        with server.in_use():
            address = psycopg.conninfo.conninfo_to_dict(server.url(APPLICATION))
            connection.close()
            names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
            settings.update({ours: str(address[theirs]) for ours, theirs in names.items()})
            try:
                call_command("migrate", verbosity=0)
                yield server
            finally:
                connection.close()
                settings.update(former)


def crash(server: Server) -> None:
    """Kill the server as a crash of its process would; returns when it is gone."""
    state = server.cluster.server()
    assert state
    kill(state.pid)
    eventually(lambda: not is_alive(state.pid))
    connection.close()


def cut_sessions(server: Server, condition: str = "true") -> int:
    """End the application's sessions that fit, but not this process's own; return how many."""
    connection.ensure_connection()
    own = connection.connection.info.backend_pid
    with psycopg.connect(server.url(SUPERUSER), autocommit=True) as master:
        ended = master.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE usename = %s AND pid <> %s AND {condition}",
            [APPLICATION, own],
        ).fetchone()
    assert ended
    return int(ended[0])


@dataclass
class Site:
    """The web server on that database, as a customer sees it."""

    base_url: str
    cluster: RunningCluster
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = make_caller(f"Customer {uuid4()}").key
        eventually(self.ready, 30)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/health/ready", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def customer(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=20, trust_env=False)

    def place(self, customer: httpx.Client, key: str | None = None) -> httpx.Response:
        return customer.post("/api/v1/orders", json=order_of(), headers={"Idempotency-Key": key or str(uuid4())})


class Buyers:
    """Customers who order without a pause, each order with a key of its own, repeated until it is placed."""

    def __init__(self, site: Site, count: int) -> None:
        self.placed: dict[str, str] = {}
        """Orders by their keys, as acknowledged."""
        self.statuses: list[int] = []
        """Every answer, in the order of their coming; 0 where none came."""
        self._site = site
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._buy) for _ in range(count)]

    def __enter__(self) -> "Buyers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _buy(self) -> None:
        with self._site.customer() as customer:
            while not self._stop.is_set():
                self._until_placed(customer, str(uuid4()))

    def _until_placed(self, customer: httpx.Client, key: str) -> None:
        while not self._stop.is_set():
            try:
                answer = self._site.place(customer, key)
            except httpx.HTTPError:
                self.statuses.append(0)
            else:
                self.statuses.append(answer.status_code)
                if answer.status_code == 201:
                    self.placed[key] = json.loads(answer.content)["id"]
                    return
            self._stop.wait(0.05)
