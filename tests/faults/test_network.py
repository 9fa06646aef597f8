"""The line to the database, or the server at its other end, fails in the middle of the work."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection

from config import health
from orders.models import Order
from outbox.engine import failures, shift
from outbox.engine.identity import listen_parameters
from outbox.models import Attempt, Delivery, Message, Receipt
from outbox.postgresql import driver
from outbox.publishing import send, unit_of_work
from tests.faults.conftest import database_url
from tests.faults.proxy import Proxy, proxied
from tests.lab import handlers
from tests.lab.commands import Call, Note
from tests.lab.models import Effect
from tests.reporting import needs
from tests.runtime.waiting import eventually
from tests.shop import busy_shop

__all__ = ["busy_shop"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8", "M39"),
    pytest.mark.usefixtures("invariants_hold"),
]
SECONDS = 1.0
"""How long the tests let an answer be awaited: short, so that they are."""


@pytest.fixture
def line(transactional_db, settings) -> Iterator[Proxy]:
    """Everything in this process reaches its database through a proxy."""
    settings.DATABASE_ANSWER_SECONDS = SECONDS
    own = connection.settings_dict
    with proxied(own["HOST"] or "127.0.0.1", int(own["PORT"] or 5432)) as proxy, pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(own, "HOST", "127.0.0.1")
        patch.setitem(own, "PORT", proxy.port)
        patch.setitem(own["OPTIONS"], "connect_timeout", 2)
        yield proxy
        proxy.heal()
        shift._give_up()
        shift._abandoned.clear()
    connection.close()


@pytest.fixture
def witness(line) -> Iterator[psycopg.Connection]:
    """Sees the database by another way."""
    own = connection.settings_dict
    url = database_url().replace(f":{own['PORT']}/", f":{line.upstream[1]}/")
    with psycopg.connect(url, autocommit=True) as other:
        yield other


def work(until: Callable[[], bool], seconds: float = 30.0) -> None:
    """Work in this process, as a worker does that loses its connections and goes on."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, list(Delivery.objects.values())
        shift.run_shift(until, seconds=0.2)


def ask(count: int) -> list[UUID]:
    """Send as many notes, and a call for each."""
    with unit_of_work():
        return [send(kind(bench_id=uuid4(), number=number)) for number in range(count) for kind in (Note, Call)]


def all_done() -> bool:
    try:
        return not Delivery.objects.exists()
    except OperationalError:
        connection.close()
        return False


def assert_done_once(ids: list[UUID]) -> None:
    """Every message has its effect and its receipt, once; ended sessions are told of, and no message was blamed."""
    effects = Effect.objects.filter(label__in=["note", "answer"]).values_list("message_id", flat=True)
    assert Counter(effects) == Counter(ids)
    receipts = Receipt.objects.filter(message_id__in=ids).values_list("message_id", flat=True)
    assert Counter(receipts) == Counter(ids)
    assert not Attempt.objects.exclude(kind="interrupted").exists()


def test_orders_whose_commit_was_never_answered_are_found_by_their_key(busy_shop, line):
    for number in range(5):
        line.lose_answers_to(b"COMMIT", times=1)
        lost = busy_shop.place(key=f"key-{number}")
        connection.close()  # as the end of every request does with a broken one
        assert (lost.status_code, lost.json()["code"]) == (503, "service_degraded")
        found = busy_shop.place(key=f"key-{number}")
        again = busy_shop.place(key=f"key-{number}")
        assert (found.status_code, again.status_code) == (201, 201)
        assert found.content == again.content
        assert Order.objects.count() == number + 1
    assert Message.objects.filter(name="orders.order_placed").count() == 5


@pytest.mark.parametrize("word", [b"orders_order", b"outbox_message", b"COMMIT"])
def test_an_order_whose_session_breaks_before_its_commit_leaves_no_trace(busy_shop, line, word):
    connection.close()  # a new session names its tables: nothing is prepared yet
    line.cut_before(b"INSERT INTO" if word != b"COMMIT" else word, times=1)
    lost = busy_shop.place(key="k")
    connection.close()
    assert (lost.status_code, lost.json()["code"]) == (503, "service_degraded")
    assert not Order.objects.exists()
    assert busy_shop.place(key="k").status_code == 201
    assert Order.objects.count() == 1


def test_a_worker_whose_commits_are_never_answered_does_everything_once(line):
    ids = ask(15)
    line.lose_answers_to(b"COMMIT", times=6)
    work(all_done)
    assert line.cuts >= 6
    assert_done_once(ids)


@pytest.mark.parametrize("word", [b"lab_effect", b"outbox_receipt", b"COMMIT"])
def test_a_worker_cut_off_inside_its_transaction_does_the_whole_of_it_again(line, word):
    ids = ask(10)
    line.cut_before(word, times=3)
    work(all_done)
    assert line.cuts >= 3
    assert_done_once(ids)


def test_a_message_that_ends_its_session_again_and_again_is_set_aside_its_neighbours_are_done(line, monkeypatch):
    """A lost session blames nobody, but not for ever: else one such message would never end."""
    monkeypatch.setattr(failures, "INTERRUPTIONS_UNTIL_BLAMED", 2)

    def end_session(behaviour: str, message: object) -> None:
        if behaviour == "die":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(handlers, "behave", end_session)
    with unit_of_work():
        ids = [send(Note(bench_id=uuid4(), number=n, behaviour="die" if n == 2 else "")) for n in range(5)]
    work(lambda: not Delivery.objects.exclude(state="dead").exists())
    dead = Delivery.objects.get()
    assert (dead.message_id, dead.attempts) == (ids[2], handlers.QUICK.attempts)
    kinds = Attempt.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["interrupted"] * 2 + ["transient"] * handlers.QUICK.attempts
    assert Counter(Effect.objects.filter(label="note").values_list("number", flat=True)) == Counter([0, 1, 3, 4])


def test_a_worker_in_a_black_hole_is_free_in_time_and_goes_on_when_it_ends(line, witness):
    shift.run_shift(seconds=0.1)  # signed in, with both its connections
    ids = ask(5)
    line.black_hole()
    started = time.monotonic()
    shift.run_shift(seconds=60)
    assert time.monotonic() - started < SECONDS + 5
    assert witness.execute("SELECT count(*) FROM outbox_delivery").fetchone() == (10,)
    line.heal()
    work(all_done)
    assert_done_once(ids)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a backend where it stands, as a hanging disk or a halted machine does."""
    if not psutil.pid_exists(pid) or psutil.Process(pid).name() != "postgres":
        needs("a database server on this machine")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_whose_backend_freezes_is_free_in_time_and_others_go_on(line, witness, monkeypatch):
    """The locks of the frozen backend stay until it thaws; everything else is done meanwhile."""
    stuck: list[int] = []

    def freeze(behaviour: str, message: object) -> None:
        if behaviour == "freeze" and not stuck:
            stuck.append(connection.connection.info.backend_pid)
            os.kill(stuck[0], signal.SIGSTOP)

    monkeypatch.setattr(handlers, "behave", freeze)
    with unit_of_work():
        cold = send(Note(bench_id=uuid4(), number=0, behaviour="freeze"))
    started = time.monotonic()
    shift.run_shift(lambda: bool(stuck), seconds=30)
    assert time.monotonic() - started < SECONDS + 5
    with frozen(stuck[0]):
        ids = ask(5)
        work(lambda: Receipt.objects.filter(message_id__in=ids).count() == len(ids))
        assert Delivery.objects.filter(message_id=cold, state="ready").exists(), "locked, and left alone"
    eventually(lambda: not witness.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", stuck).fetchone())
    work(all_done)
    assert_done_once([cold, *ids])


@pytest.mark.requirement("M5", "M41")
def test_requests_on_a_frozen_backend_are_refused_in_time_and_health_is_red(busy_shop, line, monkeypatch):
    monkeypatch.setattr(health, "ANSWER_SECONDS", SECONDS)
    requests = {
        "an order": lambda: busy_shop.place(key="k"),
        "readiness": lambda: busy_shop.get("/health/ready"),
        "workers": lambda: busy_shop.get("/health/workers"),
    }
    for name, request in requests.items():
        connection.close()
        connection.ensure_connection()
        with frozen(connection.connection.info.backend_pid):
            started = time.monotonic()
            assert (name, request().status_code) == (name, 503)
            assert time.monotonic() - started < SECONDS + 3
    connection.close()
    assert busy_shop.get("/health/ready").status_code == 200
    assert busy_shop.place(key="k").status_code == 201


def test_the_session_that_is_the_life_of_a_worker_does_not_wait_for_ever_either(line, witness):
    """Its row goes with the session: to others it is gone, and it signs in anew."""
    shift.run_shift(seconds=0.1)
    before = shift._shift.me
    with frozen(before._connection.info.backend_pid):
        ids = ask(3)
        started = time.monotonic()
        shift.run_shift(seconds=30)
        assert time.monotonic() - started < SECONDS + 5
        assert not before.alive
        work(all_done)
    assert_done_once(ids)
    assert shift._shift.me.id != before.id
    assert witness.execute("SELECT count(*) FROM outbox_worker WHERE id = %s", [before.id]).fetchone() == (0,)


def test_a_session_that_goes_silent_in_its_transaction_is_ended_and_its_locks_are_free(transactional_db):
    parameters = listen_parameters()
    limit, short = ("idle_in_transaction_session_timeout=" + value for value in ("30s", "300ms"))
    assert limit in parameters["options"]
    parameters["options"] = parameters["options"].replace(limit, short)
    with psycopg.connect(database_url(), autocommit=True) as other, driver.connect(**parameters) as silent:
        silent.execute("LOCK TABLE lab_effect IN ACCESS EXCLUSIVE MODE")
        other.execute("SET lock_timeout = '20s'")
        assert other.execute("SELECT count(*) FROM lab_effect").fetchone() == (0,)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            silent.execute("SELECT 1")


LIMITS = {
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
}


@pytest.mark.parametrize("session", ["requests and handlers", "a worker's own"])
def test_every_session_of_the_application_has_its_limits_on_both_sides(transactional_db, session):
    connection.close()
    connection.ensure_connection()
    own = connection.connection if session == "requests and handlers" else shift.Identity()._connection
    found = {name: own.execute(f"SHOW {name}").fetchone()[0] for name in LIMITS}
    assert found == LIMITS
    assert own.answer_seconds == django_settings.DATABASE_ANSWER_SECONDS == 25
    parameters = own.info.get_parameters()
    assert {name: parameters[name] for name in django_settings.NETWORK_LIMITS} == {
        name: str(value) for name, value in django_settings.NETWORK_LIMITS.items()
    }
    own.close()
    connection.close()
