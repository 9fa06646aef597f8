"""The database server dies, throws everybody out, or is full, while the system is at work."""

import time
from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from django.db import DatabaseError
from django_q.models import OrmQ
from django_q.tasks import async_task

from config.runtime.cluster import APPLICATION
from config.runtime.ports import free_port
from config.runtime.postgres import Server
from fulfillment import facade as fulfillment
from orders.models import Order
from outbox.invariants import verify
from outbox.models import Attempt, Delivery, IdempotencyRecord, Message, Receipt
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import run_cluster
from tests.faults.server import NOBODY, Buyers, Site, crash, cut_sessions, own_server
from tests.lab.commands import Note
from tests.lab.models import Effect
from tests.runtime.waiting import eventually
from tests.shop import TEA, fill_shop

pytestmark = [pytest.mark.timeout(240), pytest.mark.requirement("M8", "M39")]


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_blocker) -> Iterator[Server]:
    """A server of our own, with a full shop."""
    with django_db_blocker.unblock(), own_server(Server(tmp_path_factory.mktemp("server"))) as own:
        fill_shop()
        with unit_of_work():
            fulfillment.set_stock(sku=TEA, warehouse="LIS", on_hand=1_000_000, reason="Enough for every buyer")
        yield own


@pytest.fixture(scope="module")
def site(server, tmp_path_factory) -> Iterator[Site]:
    """The web server and two workers on it. Nobody outside answers, so orders are placed and wait."""
    port, outside = free_port(), {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY}
    for cluster in run_cluster(tmp_path_factory.mktemp("site"), outside, web_port=port):
        yield Site(f"http://127.0.0.1:{port}", cluster)


@pytest.fixture(autouse=True)
def recovers(site) -> Iterator[None]:
    """Before and after each test the system is whole; after it every invariant holds."""
    eventually(lambda: site.ready() and site.cluster.whole(), 30)
    yield
    eventually(lambda: site.ready() and site.cluster.whole(), 30)
    assert [verdict for verdict in verify() if verdict.violations] == []


def send_notes(count: int, behaviour: str = "") -> list[UUID]:
    with unit_of_work():
        return [send(Note(bench_id=uuid4(), number=number, behaviour=behaviour)) for number in range(count)]


def effects(ids: list[UUID]) -> Counter:
    return Counter(Effect.objects.filter(message_id__in=ids, label="note").values_list("message_id", flat=True))


def done(ids: list[UUID]) -> bool:
    return not Delivery.objects.filter(message_id__in=ids).exists()


def send_until_down(sent: list[UUID]) -> bool:
    """Send, and note what was acknowledged; tell whether the server was there."""
    try:
        sent.extend(send_notes(3))
    except DatabaseError:
        return False
    return True


def assert_kept(buyers: Buyers) -> None:
    """Every acknowledged order is there, once, and will be worked on."""
    orders = {f"ord_{order_id.hex}" for order_id in Order.objects.values_list("id", flat=True)}
    acknowledged = list(buyers.placed.values())
    assert len(set(acknowledged)) == len(acknowledged) > 0
    assert set(acknowledged) <= orders
    ids = [UUID(public_id.removeprefix("ord_")) for public_id in acknowledged]
    placed = Message.objects.filter(name="orders.order_placed", aggregate_id__in=ids)
    assert Counter(placed.values_list("aggregate_id", flat=True)) == Counter(ids)
    assert IdempotencyRecord.objects.filter(key__in=list(buyers.placed)).count() == len(buyers.placed)


def test_a_crash_of_the_server_loses_nothing_acknowledged_and_work_resumes(server, site):
    sent: list[UUID] = send_notes(20, "slow")
    with Buyers(site, 4) as buyers:
        eventually(lambda: send_until_down(sent) and len(buyers.placed) > 20)
        crash(server)
        assert not send_until_down([])
        time.sleep(0.5)  # load, not synchronisation: let customers meet the closed door
        assert server.revive()
        eventually(site.ready, 30)
        back, before = len(buyers.statuses) + 4, len(buyers.placed)  # one of each customer may be under way
        eventually(lambda: len(buyers.placed) > before + 20, 30)
        sent.extend(send_notes(5))
    assert 500 not in buyers.statuses
    assert 503 in buyers.statuses
    assert set(buyers.statuses[back:]) == {201}
    assert_kept(buyers)
    eventually(lambda: done(sent), 30)
    assert effects(sent) == Counter(sent)
    assert not Attempt.objects.filter(message_id__in=sent, kind="crash").exists()


def test_sessions_that_are_all_cut_while_work_runs_lose_nothing_double_nothing_and_blame_nobody(server, site):
    sent = send_notes(60, "slow")
    with Buyers(site, 4) as buyers:
        for _ in range(4):
            running = Receipt.objects.filter(message_id__in=sent).count()
            eventually(lambda before=running: Receipt.objects.filter(message_id__in=sent).count() > before, 30)
            assert cut_sessions(server) > 1
        eventually(lambda: done(sent), 60)
        before = len(buyers.placed)
        eventually(lambda: len(buyers.placed) > before + 5, 30)
    assert set(buyers.statuses) <= {201, 503}
    assert_kept(buyers)
    assert effects(sent) == Counter(sent)
    assert not Attempt.objects.filter(kind="crash").exists(), "no process has died"


@pytest.mark.requirement("M16")
def test_periodic_jobs_run_although_the_sessions_of_those_who_run_them_were_cut(server, site):
    for _ in range(2):
        async_task("outbox.housekeeping.prune", save=False)
        eventually(lambda: not OrmQ.objects.exists(), 20)
        assert cut_sessions(server) > 1
    async_task("outbox.housekeeping.prune", save=False)
    eventually(lambda: not OrmQ.objects.exists(), 20)


@pytest.mark.requirement("M5", "M41")
def test_a_server_without_room_for_a_connection_is_answered_with_503_at_once(server, site):
    crowd: list[psycopg.Connection] = []
    sent = send_notes(2)
    with site.customer() as customer:
        try:
            _occupy(server, crowd)
            started = time.monotonic()
            refused = site.place(customer, "squeezed")
            assert time.monotonic() - started < 3
            assert (refused.status_code, refused.json()["code"]) == (503, "service_degraded")
            assert int(refused.headers["Retry-After"]) >= 1
            assert httpx.get(f"{site.base_url}/health/ready", trust_env=False).status_code == 503
            assert httpx.get(f"{site.base_url}/health/live", trust_env=False).status_code == 200
        finally:
            for connection in crowd:
                connection.close()
        eventually(site.ready, 20)
        assert site.place(customer, "squeezed").status_code == 201
    eventually(lambda: done(sent), 20)
    assert effects(sent) == Counter(sent)


def _occupy(server: Server, crowd: list[psycopg.Connection]) -> None:
    """Take every connection there is, those of the site included."""
    while True:
        try:
            crowd.append(psycopg.connect(server.url(APPLICATION), application_name="crowd"))
        except psycopg.OperationalError as full:
            if "connection slots" not in str(full) and "too many clients" not in str(full):
                raise
            if not cut_sessions(server, "application_name <> 'crowd'"):
                return
