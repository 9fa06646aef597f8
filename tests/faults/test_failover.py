"""The primary dies and its stand-by takes over, while orders come in and messages are handled."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from config.runtime.cluster import SUPERUSER
from config.runtime.ports import free_port
from config.runtime.postgres import Server
from orders.models import Order
from outbox.invariants import verify
from outbox.models import Delivery, Message, Receipt
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import run_cluster
from tests.faults.proxy import Proxy, proxied
from tests.faults.server import NOBODY, Buyers, Site, crash, own_server
from tests.faults.standby import NAME, StandBy, standing_by
from tests.lab.commands import Call, Note
from tests.lab.handlers import LEDGER
from tests.lab.models import Effect
from tests.runtime.waiting import eventually
from tests.shop import fill_shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.requirement("M8", "M39")]


@pytest.fixture
def server(tmp_path, django_db_blocker) -> Iterator[Server]:
    with django_db_blocker.unblock(), own_server(Server(tmp_path / "server")) as own:
        fill_shop()
        yield own


@pytest.fixture
def standby(server, tmp_path) -> Iterator[StandBy]:
    with standing_by(server, tmp_path / "standby") as running:
        yield running


@pytest.fixture
def address(server) -> Iterator[Proxy]:
    """The address that everybody uses, whoever is the primary: a virtual one, as a balancer gives it."""
    port = server.cluster.preferred_port()
    assert port
    with proxied("127.0.0.1", port) as proxy, pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "PORT", proxy.port)
        yield proxy
        connection.close()


@pytest.fixture
def site(address, tmp_path, monkeypatch) -> Iterator[Site]:
    """Web server and two workers at that address; what they tell the outside is written down."""
    ledger = tmp_path / "calls"
    ledger.touch()
    monkeypatch.setenv(LEDGER, str(ledger))
    port, outside = free_port(), {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY}
    for cluster in run_cluster(tmp_path, outside, web_port=port):
        yield Site(f"http://127.0.0.1:{port}", cluster)


def fail_over(server: Server, standby: StandBy, address: Proxy) -> None:
    """The primary dies where it stands; its stand-by gets the address."""
    crash(server)
    standby.promote()
    address.upstream = ("127.0.0.1", standby.port)
    address.cut()
    connection.close()


def send_both(count: int) -> list[UUID]:
    with unit_of_work():
        return [send(kind(bench_id=uuid4(), number=n)) for n in range(count) for kind in (Note, Call)]


def assert_all_well(site: Site) -> None:
    """The system is whole again, with nothing left to do, every receipt and effect once, and every invariant holds."""
    eventually(lambda: site.ready() and site.cluster.whole(), 60)
    lab = Delivery.objects.filter(consumer__startswith="lab.")
    eventually(lambda: not lab.exists(), 60)
    kept = list(Message.objects.filter(name__in=["lab.note", "lab.call"]).values_list("id", flat=True))
    effects = Effect.objects.filter(label__in=["note", "answer"]).values_list("message_id", flat=True)
    assert Counter(effects) == Counter(kept)
    receipts = Receipt.objects.filter(consumer__in=["lab.note", "lab.call"]).values_list("message_id", flat=True)
    assert Counter(receipts) == Counter(kept)
    assert [verdict for verdict in verify() if verdict.violations] == []


def orders() -> set[str]:
    return {f"ord_{order_id.hex}" for order_id in Order.objects.values_list("id", flat=True)}


def called() -> set[UUID]:
    """Return the messages whose calls the outside has heard."""
    return {UUID(line.split()[0]) for line in Path(os.environ[LEDGER]).read_text().splitlines()}


def test_with_a_synchronous_stand_by_nothing_acknowledged_is_lost_and_clients_settle_by_their_keys(
    server, standby, address, site
):
    with psycopg.connect(server.url(SUPERUSER), autocommit=True) as master:
        master.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        master.execute("SELECT pg_reload_conf()")
        eventually(lambda: master.execute("SELECT sync_state FROM pg_stat_replication").fetchone() == ("sync",))
    ids = send_both(30)
    with Buyers(site, 4) as buyers:
        eventually(lambda: len(buyers.placed) > 20, 60)
        fail_over(server, standby, address)
        eventually(site.ready, 60)
        before = len(buyers.placed)
        eventually(lambda: len(buyers.placed) > before + 20, 60)
    assert 500 not in buyers.statuses
    assert set(buyers.placed.values()) <= orders()
    assert len(set(buyers.placed.values())) == len(buyers.placed)
    assert Message.objects.filter(id__in=ids).count() == len(ids)
    assert_all_well(site)


@pytest.mark.requirement("M37")
def test_with_an_asynchronous_stand_by_what_it_had_not_received_is_lost_whole_and_the_rest_goes_on(
    server, standby, address, site
):
    """Money that the outside took for what is lost is found by comparing its books with ours."""
    kept = send_both(10)
    with Buyers(site, 4) as buyers:
        eventually(lambda: len(buyers.placed) > 10 and not Delivery.objects.filter(message_id__in=kept).exists(), 60)
    eventually(standby.follows, 30)
    safe = set(buyers.placed.values())
    standby.stop_receiving()
    with Buyers(site, 4) as unlucky:
        eventually(lambda: len(unlucky.placed) > 10, 60)
    lost = send_both(10)
    eventually(lambda: set(lost[1::2]) <= called(), 30)
    fail_over(server, standby, address)
    eventually(site.ready, 60)

    assert safe <= orders()
    assert set(unlucky.placed.values()).isdisjoint(orders()), "the fault did what it should"
    assert not Message.objects.filter(id__in=lost).exists()
    strangers = called() - set(Message.objects.values_list("id", flat=True))
    assert strangers == set(lost[1::2]), "calls for what is lost are known by the keys that nobody here knows"
    with site.customer() as customer:
        for key in unlucky.placed:
            assert site.place(customer, key).status_code == 201, "to this database the key is new"
    send_both(5)
    assert_all_well(site)
