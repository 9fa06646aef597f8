"""The console's first page: what needs a person, and the way to it."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders.customers import create_staff
from outbox import control
from outbox.context import scope
from outbox.models import Breaker, Delivery, Saga, Worker
from outbox.publishing import unit_of_work
from outbox.sagas.engine import start
from tests.integration.outbox.dead import make_dead
from tests.integration.outbox.saga import ONE_STEP, told_of_saga

__all__ = ["told_of_saga"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M27", "M28", "M46")]


@pytest.fixture(autouse=True)
def nothing_remembered():
    control.forget()
    yield
    control.forget()


@pytest.fixture
def operator(transactional_db) -> Client:
    with unit_of_work():
        create_staff(username="ada", role="operator")
    client = Client()
    client.force_login(User.objects.get(username="ada"), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def worker(transactional_db) -> None:
    Worker.objects.create(id=uuid4(), host="here", pid=1, lock=1)


def overview(client: Client) -> str:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_when_all_is_well_the_first_page_says_so(operator, worker):
    shown = overview(operator)
    assert "Nothing needs a person" in shown
    assert "1 worker at work" in shown


def test_a_worker_that_has_gone_silent_does_not_count(operator, worker):
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=20))
    shown = overview(operator)
    assert "1 thing needs a person" in shown
    assert "No worker is running" in shown


def test_what_was_given_up_is_grouped_and_one_click_away(drain, operator, worker):
    row = make_dead(drain, 1, 2)[0]
    shown = overview(operator)
    assert "1 thing needs a person" in shown
    assert "2 messages given up" in shown
    assert f"/admin/outbox/deadletter/?fingerprint={row.fingerprint}" in shown


def test_a_stuck_saga_names_its_step_and_is_one_click_away(drain, operator, worker, told_of_saga):
    key = uuid4()
    with unit_of_work():
        start(ONE_STEP, key=key, data={"bench_id": key})
    drain()
    saga = Saga.objects.get(key=key)
    shown = overview(operator)
    assert "1 saga stuck" in shown
    assert f"/admin/outbox/saga/{saga.id}/change/" in shown
    assert "Write the note" in shown


def test_outside_systems_and_paused_consumers_show_why(operator, worker):
    Breaker.objects.create(destination="harbour", state="open", reason="ConnectError: refused", consumers=[])
    with unit_of_work(), scope(actor="staff:ada"):
        control.pause(["lab.note"], "a bad release")
    shown = overview(operator)
    assert "1 outside system not answering" in shown
    assert "ConnectError: refused" in shown
    assert "staff:ada: a bad release" in shown


def test_parked_messages_are_told_with_their_consumer(drain, operator, worker):
    row = make_dead(drain, 1)[0]
    Delivery.objects.filter(id=row.id).update(state="parked", died_at=None)
    shown = overview(operator)
    assert "no release here can read" in shown
    assert f"state__exact=parked&amp;consumer={row.consumer}" in shown


def test_the_first_page_asks_a_bounded_number_of_questions(drain, operator, worker, statements):
    statements.clear()
    overview(operator)
    alone = len(statements)
    make_dead(drain, *range(12))
    statements.clear()
    overview(operator)
    assert len(statements) <= alone
