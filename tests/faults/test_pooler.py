"""Behind PgBouncer in transaction mode: nothing that belongs to a session goes through the pool, and it may run dry."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.db import connection

from config.runtime.ports import free_port
from config.runtime.postgres import Server
from orders.models import Order
from outbox.engine.identity import LOCK_CLASS
from outbox.invariants import verify
from outbox.models import Delivery, Receipt
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import run_cluster
from tests.faults.pooler import DIRECT, POOL_SIZE, Pooler, pooled
from tests.faults.server import NOBODY, Buyers, Site, own_server
from tests.lab.commands import Call, Note
from tests.lab.models import Effect
from tests.runtime.waiting import eventually, kill
from tests.shop import fill_shop

pytestmark = [pytest.mark.timeout(240), pytest.mark.requirement("M8", "M17", "M39")]
ORDERS = 40
OF_A_SESSION = re.compile(
    r"\b(UN)?LISTEN\b|pg_(try_)?advisory_(un)?lock(_shared)?\(|set_config\([^)]*false\)|\bPREPARE\b|execute _pg3"
    r"|: SET (?!LOCAL|TRANSACTION|client_encoding|application_name)|\bDECLARE\b.*WITH HOLD|CREATE TEMP",
    re.IGNORECASE,
)
"""Statements whose effect stays with the session. The pooler itself sets the two names that are excepted."""


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_blocker) -> Iterator[Server]:
    """A server of our own, with a full shop, that logs every statement and who sent it."""
    options = {"log_statement": "all", "log_line_prefix": "<%a> "}
    own = Server(tmp_path_factory.mktemp("server"))
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(connection.settings_dict["OPTIONS"], "application_name", "test")
        with own_server(own, **options):
            fill_shop()
            yield own


@pytest.fixture(scope="module")
def pooler(server, tmp_path_factory) -> Iterator[Pooler]:
    with pooled(server, tmp_path_factory.mktemp("pooler")) as running:
        yield running


@pytest.fixture(scope="module")
def site(pooler, tmp_path_factory) -> Iterator[Site]:
    """The web server and two workers, all of them behind the pooler."""
    port = free_port()
    environment = {
        "DATABASE_URL": pooler.url,
        "DATABASE_LISTEN_URL": pooler.listen_url,
        "PAYMENT_API_BASE": NOBODY,
        "CARRIER_API_BASE": NOBODY,
    }
    for cluster in run_cluster(tmp_path_factory.mktemp("site"), environment, web_port=port):
        yield Site(f"http://127.0.0.1:{port}", cluster)


@pytest.fixture(autouse=True)
def all_is_well(site) -> Iterator[None]:
    """After each test the system is whole, and every invariant holds."""
    yield
    eventually(lambda: site.ready() and site.cluster.whole(), 30)
    assert [verdict for verdict in verify() if verdict.violations] == []


def test_orders_and_messages_survive_kills_and_only_whole_transactions_go_through_the_pool(server, site):
    seen = server.log_file.stat().st_size
    with unit_of_work():
        ids = [send(kind(bench_id=uuid4(), number=n)) for n in range(ORDERS) for kind in (Note, Call)]
    with Buyers(site, 4) as buyers:
        for share, victim in ((0.25, "worker-1"), (0.5, "worker-2"), (0.75, "web-1")):
            eventually(lambda share=share: len(buyers.placed) >= ORDERS * share, 60)
            kill(site.cluster.pids()[victim])
            eventually(lambda: site.ready() and site.cluster.whole(), 60)
        eventually(lambda: len(buyers.placed) >= ORDERS, 60)
    assert set(buyers.statuses) <= {201, 503, 0}
    placed = [f"ord_{order_id.hex}" for order_id in Order.objects.values_list("id", flat=True)]
    assert set(buyers.placed.values()) <= set(placed)
    assert len(set(buyers.placed.values())) == len(buyers.placed) >= ORDERS
    eventually(lambda: not Delivery.objects.filter(message_id__in=ids).exists(), 60)
    effects = Effect.objects.filter(message_id__in=ids, label__in=["note", "answer"])
    assert Counter(effects.values_list("message_id", flat=True)) == Counter(ids)

    with server.log_file.open() as log:
        log.seek(seen)
        lines = [line for line in log if " LOG: " in line]
    pooled_lines = [line for line in lines if line.startswith("<tandem>")]
    assert len(pooled_lines) > ORDERS
    assert [line for line in pooled_lines if OF_A_SESSION.search(line)] == []
    assert any("LISTEN" in line for line in lines if line.startswith(f"<{DIRECT}>"))


def test_a_message_is_picked_up_by_the_bell_though_its_sender_sits_behind_the_pooler(site, pooler, monkeypatch):
    """NOTIFY goes through the pool, LISTEN and the session lock past it."""
    waits = [_pick_up_seconds(pooler) for _ in range(20)]
    assert sorted(waits)[len(waits) // 2] < 0.25, "the poll alone would take half a second"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2",
            [LOCK_CLASS],
        )
        assert cursor.fetchall() == [(DIRECT,)]


def _pick_up_seconds(pooler: Pooler) -> float:
    with unit_of_work():
        message_id = send(Note(bench_id=uuid4(), number=1))
    started = time.monotonic()
    eventually(lambda: Receipt.objects.filter(message_id=message_id).exists())
    return time.monotonic() - started


@pytest.mark.requirement("M5", "M41")
def test_a_pool_that_has_run_dry_is_answered_with_503_in_time_and_health_is_red(site, pooler):
    crowd = [psycopg.connect(pooler.url, prepare_threshold=None) for _ in range(POOL_SIZE)]
    with site.customer() as customer:
        try:
            for hoarder in crowd:
                eventually(lambda hoarder=hoarder: _holds(hoarder))
            started = time.monotonic()
            refused = site.place(customer, "squeezed")
            assert time.monotonic() - started < 10
            assert (refused.status_code, refused.json()["code"]) == (503, "service_degraded")
            assert int(refused.headers["Retry-After"]) >= 1
            assert httpx.get(f"{site.base_url}/health/ready", timeout=10, trust_env=False).status_code == 503
            assert httpx.get(f"{site.base_url}/health/live", timeout=10, trust_env=False).status_code == 200
        finally:
            for hoarder in crowd:
                hoarder.close()
        eventually(site.ready, 20)
        assert site.place(customer, "squeezed").status_code == 201


def _holds(hoarder: psycopg.Connection) -> bool:
    """Take a connection of the pool, and keep it by an open transaction."""
    try:
        hoarder.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
