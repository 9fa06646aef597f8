"""Hosts that run a worker cluster each: three of them on one machine, each with a name of its own, and a cable."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from config.runtime.cluster import APPLICATION
from config.runtime.postgres import Server
from outbox.models import Worker
from tests.faults.conftest import RunningCluster, run_cluster
from tests.faults.proxy import Proxy, proxied
from tests.reporting import needs

NAMES = ("amber", "birch", "cedar")


class Cable(Protocol):
    """What connects a host with the database."""

    def unplug(self) -> None:
        """Take the host off the network: no farewell, in neither direction."""

    def plug(self) -> None:
        """Put it back."""


@dataclass
class Host:
    """A machine as far as the workers on it can tell."""

    name: str
    cable: Cable
    cluster: RunningCluster = field(init=False)

    def workers(self) -> list[Worker]:
        """Return those signed in from here."""
        return list(Worker.objects.filter(host=self.name))


@dataclass
class ProxyCable:
    """A proxy that swallows everything; its server end is closed, as a server's keepalives do after a while."""

    proxy: Proxy

    def unplug(self) -> None:
        self.proxy.unplug()

    def plug(self) -> None:
        self.proxy.heal()


@dataclass
class Veth:
    """A pair of virtual network devices, one end of which is inside a network namespace."""

    device: str

    def unplug(self) -> None:
        ip("link", "set", self.device, "down")

    def plug(self) -> None:
        ip("link", "set", self.device, "up")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def named(name: str) -> list[str]:
    """Return what stands before a command to run it under a host name of its own."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = [shutil.which("unshare") or "unshare", *rights, "--uts", "--"]
    probe = [*unshare, "sh", "-c", 'hostname "$0" && test "$(hostname)" = "$0"', name]
    try:
        allowed = subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        needs("unshare and hostname, with the right to use them,")
    return [*unshare, "sh", "-c", 'hostname "$0"; exec "$@"', name]


@contextmanager
def hosts_by_name(server: Server, home: Path, environment: dict[str, str]) -> Iterator[list[Host]]:
    """Run three groups of processes with host names of their own, each with a proxy for a cable."""
    url = urlsplit(server.url(APPLICATION))
    with ExitStack() as stack:
        hosts = []
        for name in NAMES:
            proxy = stack.enter_context(proxied("127.0.0.1", url.port))
            host = Host(name, ProxyCable(proxy))
            own = {
                **environment,
                "DATABASE_URL": url._replace(netloc=_at(url.netloc, "127.0.0.1", proxy.port)).geturl(),
            }
            host.cluster = stack.enter_context(_cluster(home / name, own, named(name)))
            hosts.append(host)
        yield hosts


@contextmanager
def hosts_in_namespaces(server: Server, home: Path, environment: dict[str, str]) -> Iterator[list[Host]]:
    """Run three hosts with network stacks of their own, each connected to the server's by a pair of devices."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        needs("root and iproute2, for network namespaces,")
    url = urlsplit(server.url(APPLICATION))
    run, network = secrets.token_hex(2), f"10.{secrets.randbelow(100) + 100}"
    with ExitStack() as stack:
        hosts = []
        for number, name in enumerate(NAMES):
            gateway, address = f"{network}.{number}.1", f"{network}.{number}.2"
            space, device = stack.enter_context(_namespace(f"td{run}{number}", gateway, address))
            own = {**environment, "DATABASE_URL": url._replace(netloc=_at(url.netloc, gateway, url.port)).geturl()}
            host = Host(name, Veth(device))
            inside = ["ip", "netns", "exec", space, *named(name)]
            host.cluster = stack.enter_context(_cluster(home / name, own, inside))
            hosts.append(host)
        yield hosts


def _at(netloc: str, host: str, port: int | None) -> str:
    return f"{netloc.rpartition('@')[0]}@{host}:{port}"


@contextmanager
def _namespace(name: str, gateway: str, address: str) -> Iterator[tuple[str, str]]:
    """Make a network namespace with one device, whose other end is here; return both names."""
    here, there = f"{name}h", f"{name}t"
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"{gateway}/24", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{address}/24", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, here
    finally:
        ip("netns", "del", name)


@contextmanager
def _cluster(home: Path, environment: dict[str, str], prefix: list[str]) -> Iterator[RunningCluster]:
    home.mkdir()
    yield from run_cluster(home, environment, prefix=prefix)
