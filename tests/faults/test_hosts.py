"""Three hosts share the work; one is cut off while it holds leases and a transaction: others take over."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from config.runtime.cluster import SUPERUSER
from config.runtime.postgres import Server
from outbox.invariants import verify
from outbox.models import Delivery, Receipt, Worker
from outbox.publishing import send, unit_of_work
from tests.faults.hosts import NAMES, Host, hosts_by_name, hosts_in_namespaces
from tests.faults.server import NOBODY, own_server
from tests.lab.commands import Call, Note, Single
from tests.lab.handlers import LEDGER
from tests.lab.models import Effect
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.requirement("M8", "M17", "M39")]
NOTICED_SECONDS = 30
"""How long the longest limit lets a silence last: a lease, or a transaction that says nothing."""
HASTY = {"LEASE_SECONDS": "15", "DATABASE_ANSWER_SECONDS": "3"}
Hosts = Callable[[Server, Path, dict[str, str]], AbstractContextManager[list[Host]]]


@pytest.fixture
def server(tmp_path, django_db_blocker) -> Iterator[Server]:
    """A server of our own that hosts may reach from elsewhere."""
    with django_db_blocker.unblock(), own_server(Server(tmp_path / "server"), listen_addresses="*") as own:
        with (own.cluster.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 scram-sha-256\n")
        with psycopg.connect(own.url(SUPERUSER), autocommit=True) as master:
            master.execute("SELECT pg_reload_conf()")
        yield own


def send_all(kind: type[Note] | type[Call] | type[Single], count: int, behaviour: str = "") -> list[UUID]:
    with unit_of_work():
        return [send(kind(bench_id=uuid4(), number=number, behaviour=behaviour)) for number in range(count)]


def all_done(ids: list[UUID]) -> bool:
    return not Delivery.objects.filter(message_id__in=ids).exists()


def calls_made(path: Path) -> dict[UUID, list[str]]:
    """Return the hosts that called outside, by message."""
    made: dict[UUID, list[str]] = {}
    for line in path.read_text().splitlines():
        message_id, host = line.split()
        made.setdefault(UUID(message_id), []).append(host)
    return made


def busy_host(hosts: list[Host]) -> Host | None:
    """Return one that is calling outside and in the middle of a transaction."""
    for host in hosts:
        inside = Worker.objects.filter(host=host.name, consumer="lab.single").exclude(deliveries=[])
        if inside.exists() and held_by({worker.id for worker in inside}):
            return host
    return None


def held_by(workers: set[UUID]) -> set[UUID]:
    """Return the messages that these workers are calling for."""
    leased = Delivery.objects.filter(state="leased", lease_owner__in=workers)
    return set(leased.values_list("message_id", flat=True))


def assert_all_hosts_work(hosts: list[Host]) -> None:
    """Work is shared: each of them calls outside."""
    ledger = Path(os.environ[LEDGER])
    for host in hosts:
        eventually(lambda name=host.name: _called_from(ledger, name), 30)


def _called_from(ledger: Path, host: str) -> bool:
    ids = send_all(Call, 4)
    eventually(lambda: all_done(ids), 20)
    return any(host in callers for callers in calls_made(ledger).values())


@pytest.mark.parametrize(
    ("start", "limits"),
    [
        pytest.param(hosts_by_name, HASTY, id="groups of processes"),
        pytest.param(hosts_in_namespaces, {}, id="network namespaces"),
    ],
)
def test_a_host_cut_off_in_the_middle_of_its_work_is_replaced_and_nothing_happens_twice(
    server, tmp_path, monkeypatch, start: Hosts, limits
):
    ledger = tmp_path / "calls"
    ledger.touch()
    monkeypatch.setenv(LEDGER, str(ledger))
    outside = {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY, "TANDEM_WORKERS": "1", **limits}
    with start(server, tmp_path, outside) as hosts:
        assert sorted(Worker.objects.values_list("host", flat=True)) == sorted(NAMES)
        calls, singles = send_all(Call, 6, "linger"), send_all(Single, 6, "linger")
        lost = eventually(lambda: busy_host(hosts), 20)
        former = {worker.id for worker in lost.workers()}
        lost.cable.unplug()
        started = time.monotonic()
        held = held_by(former)
        assert held, "what is leased now, nobody but another one can record"
        others = [*send_all(Note, 20), *send_all(Call, 5)]
        everything = [*calls, *singles, *others]
        eventually(lambda: all_done(everything), NOTICED_SECONDS + 20)
        print(f"taken over after {time.monotonic() - started:.1f} s")
        assert not Worker.objects.filter(id__in=former).exists(), "the others saw it go"

        lost.cable.plug()
        eventually(lost.workers, NOTICED_SECONDS + 20)
        assert former.isdisjoint(worker.id for worker in lost.workers()), "it came back as somebody else"
        assert_all_hosts_work([lost])

    assert_once(everything, "note", "single", "answer")
    made = calls_made(ledger)
    assert all(lost.name in made[message_id] for message_id in held), "it had called"
    assert all(len(made[message_id]) > 1 for message_id in held), "and another one called again, with the same key"
    assert [verdict for verdict in verify() if verdict.violations] == []


def assert_once(ids: list[UUID], *labels: str) -> None:
    connection.close()
    effects = Effect.objects.filter(message_id__in=ids, label__in=labels).values_list("message_id", flat=True)
    assert Counter(effects) == Counter(ids)
    receipts = Receipt.objects.filter(message_id__in=ids).values_list("message_id", flat=True)
    assert Counter(receipts) == Counter(ids)
