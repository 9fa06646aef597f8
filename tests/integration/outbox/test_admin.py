"""The operators' console, through its front door: who may do what, and what the pages tell."""

import re
import threading
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders.customers import ROLES, create_staff
from outbox import control
from outbox.admin import dead_letters
from outbox.models import (
    Attempt,
    AuditEntry,
    Breaker,
    ConsumerControl,
    DeadLetter,
    Delivery,
    Message,
    Receipt,
    Saga,
    Transition,
    Worker,
)
from outbox.publishing import send, unit_of_work
from outbox.sagas.engine import definition_of, start
from tests.integration.outbox.dead import make_dead
from tests.integration.outbox.saga import ONE_STEP, told_of_saga
from tests.lab import handlers
from tests.lab.commands import Note
from tests.lab.models import Effect
from tests.shop import busy_shop

__all__ = ["busy_shop", "told_of_saga"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M27", "M46")]

MODELS = (Message, Delivery, DeadLetter, Attempt, Worker, Breaker, ConsumerControl, Saga, Transition, AuditEntry)
LIST = "/admin/outbox/deadletter/"
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def nothing_remembered():
    control.forget()
    yield
    control.forget()


def browser(role: str, *, strict: bool = False) -> Client:
    """Return the browser of somebody with a role; `strict` checks CSRF tokens as a real server does."""
    with unit_of_work():
        create_staff(username=f"some-{role}", role=role)
    client = Client(enforce_csrf_checks=strict)
    client.force_login(User.objects.get(username=f"some-{role}"), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def operator(transactional_db) -> Client:
    return browser("operator")


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer.content.decode()


def detail(row: Delivery) -> str:
    return f"{LIST}{row.id}/change/"


def verb(row: Delivery, name: str) -> str:
    return f"{LIST}{row.id}/{name}/"


def states() -> dict[int, str]:
    return dict(Delivery.objects.values_list("id", "state"))


# --- who may do what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["retry", "discard"])
@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", True), ("approver", True)])
def test_operators_and_approvers_may_act_and_viewers_may_look(drain, role, may, name):
    (dead,) = make_dead(drain, 1)
    client = browser(role)
    assert "gave up" in page(client, detail(dead))
    answer = client.post(verb(dead, name), {"reason": "because"})
    assert answer.status_code == (302 if may else 403)
    assert (states() == {dead.id: "dead"}) is not may
    assert AuditEntry.objects.count() == may


@pytest.mark.parametrize("name", ["retry", "discard"])
@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", True), ("approver", True)])
def test_the_same_holds_for_many_at_once(drain, role, may, name):
    first, second = make_dead(drain, 1, 2)
    chosen = {"action": f"{name}_selected", "_selected_action": [first.id, second.id]}
    browser(role).post(LIST, {**chosen, "confirmed": "yes", "reason": "because"})
    assert (states() == {first.id: "dead", second.id: "dead"}) is not may
    assert AuditEntry.objects.count() == (2 if may else 0)


@pytest.mark.parametrize("name", ["retry", "discard"])
def test_a_stranger_is_sent_to_sign_in_and_nothing_happens(drain, name):
    (dead,) = make_dead(drain, 1)
    assert Client().post(verb(dead, name), {"reason": "because"}).status_code == 302
    assert states() == {dead.id: "dead"}


@pytest.mark.parametrize("name", ["retry", "discard"])
def test_a_get_changes_nothing(drain, operator, name):
    (dead,) = make_dead(drain, 1)
    assert operator.get(verb(dead, name), {"reason": "because"}).status_code == 405
    assert operator.get(LIST, {"action": f"{name}_selected", "_selected_action": dead.id}).status_code in (200, 302)
    assert states() == {dead.id: "dead"}


@pytest.mark.parametrize("name", ["retry", "discard"])
def test_a_post_without_the_pages_token_is_refused(drain, name):
    (dead,) = make_dead(drain, 1)
    client = browser("operator", strict=True)
    assert client.post(verb(dead, name), {"reason": "because"}).status_code == 403
    assert states() == {dead.id: "dead"}
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page(client, detail(dead))).group(1)
    assert client.post(verb(dead, name), {"reason": "because", "csrfmiddlewaretoken": token}).status_code == 302
    assert states() != {dead.id: "dead"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_for_every_role_and_nobody_adds_changes_or_deletes(transactional_db, role, model):
    client = browser(role)
    base = f"/admin/outbox/{model._meta.model_name}/"
    page(client, base)
    assert client.get(f"{base}add/").status_code == 403
    request = client.get(base).wsgi_request
    entry = admin.site._registry[model]
    assert not any(getattr(entry, f"has_{word}_permission")(request) for word in ("add", "change", "delete"))


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_disabled_buttons_say_why(drain, role):
    (dead,) = make_dead(drain, 1)
    text = page(browser(role), detail(dead))
    assert (dead_letters.MAY_NOT in text) is (role == "viewer")
    assert ("<form" in text.split("<h2>What to do</h2>")[1]) is (role == "operator")


def test_the_pages_of_django_q2_are_gone(transactional_db):
    assert not [model for model in admin.site._registry if model._meta.app_label == "django_q"]
    User.objects.create_superuser("root", password="only-for-this-test")
    client = Client()
    client.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/django_q/success/").status_code == 404
    assert "/admin/django_q/" not in page(client, "/admin/")


# --- the verbs ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("M13")
def test_retry_lets_the_engine_do_it_and_names_the_person(drain, operator, monkeypatch, invariants_hold):
    (dead,) = make_dead(drain, 1)
    monkeypatch.setattr(handlers, "behave", lambda behaviour, message: None)
    answer = operator.post(verb(dead, "retry"), {"reason": "the bug is mended"}, follow=True)
    assert "Done: back in the queue." in answer.content.decode()
    assert answer.redirect_chain[-1][0] == f"/admin/outbox/message/{dead.message_id}/change/"
    drain()
    assert Effect.objects.filter(label="note", message_id=dead.message_id).count() == 1
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.reason) == ("staff:some-operator", "the bug is mended")
    assert entry.correlation_id is not None


def test_discard_writes_a_receipt_that_says_so(drain, operator, invariants_hold):
    (dead,) = make_dead(drain, 1)
    answer = operator.post(verb(dead, "discard"), {"reason": "a test order"}, follow=True)
    assert Receipt.objects.get(message_id=dead.message_id).outcome == "discarded"
    assert "Discarded" in answer.content.decode()


@pytest.mark.parametrize("name", ["retry", "discard"])
def test_a_blank_reason_is_refused_in_words(drain, operator, name):
    (dead,) = make_dead(drain, 1)
    answer = operator.post(verb(dead, name), {"reason": "  "}, follow=True)
    assert "Say why: a reason is required" in answer.content.decode()
    assert states() == {dead.id: "dead"}


def test_the_second_click_is_told_who_was_first(drain, operator):
    (dead,) = make_dead(drain, 1)
    operator.post(verb(dead, "discard"), {"reason": "first"})
    answer = browser("approver").post(verb(dead, "retry"), {"reason": "second"}, follow=True)
    text = answer.content.decode()
    assert "staff:some-operator discarded it at" in text
    assert "(first)" in text
    assert AuditEntry.objects.count() == 1


def test_of_two_clicks_at_once_one_wins(drain):
    (dead,) = make_dead(drain, 1)
    clients = [browser("operator"), browser("approver")]
    start_together, answers = threading.Barrier(2), []

    def click(client: Client) -> None:
        start_together.wait()
        answers.append(client.post(verb(dead, "retry"), {"reason": "mended"}).status_code)
        connection.close()

    threads = [threading.Thread(target=click, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [302, 302]
    assert AuditEntry.objects.count() == 1
    assert states() == {dead.id: "ready"}


def test_many_are_confirmed_with_their_count_and_a_reason_first(drain, operator, invariants_hold):
    rows = make_dead(drain, 1, 2, 3)
    chosen = {"action": "discard_selected", "_selected_action": [rows[0].id, rows[1].id]}
    asked = operator.post(LIST, chosen).content.decode()
    assert "Discard 2 dead letters?" in asked
    assert "There is no undo" in asked
    assert len(states()) == 3
    refused = operator.post(LIST, {**chosen, "confirmed": "yes", "reason": ""}).content.decode()
    assert "a reason is required" in refused
    assert len(states()) == 3
    done = operator.post(LIST, {**chosen, "confirmed": "yes", "reason": "test data"}, follow=True)
    assert "2 discarded." in done.content.decode()
    assert states() == {rows[2].id: "dead"}


def test_many_are_those_that_were_confirmed_whatever_became_of_them_since(drain, operator):
    first, second = make_dead(drain, 1, 2)
    operator.post(verb(first, "discard"), {"reason": "alone"})
    chosen = {"action": "retry_selected", "_selected_action": [first.id, second.id], "confirmed": "yes"}
    text = operator.post(LIST, {**chosen, "reason": "mended"}, follow=True).content.decode()
    assert "1 back in the queue." in text
    assert "staff:some-operator discarded it" in text
    assert states() == {second.id: "ready"}


def test_too_many_for_one_request_are_refused_with_another_way(drain, operator, monkeypatch):
    monkeypatch.setattr(dead_letters, "BULK_LIMIT", 1)
    rows = make_dead(drain, 1, 2)
    chosen = {"action": "retry_selected", "_selected_action": [row.id for row in rows]}
    text = operator.post(LIST, chosen, follow=True).content.decode()
    assert "More than 1 are chosen. For that many use `./tandem manage outbox retry" in text
    assert set(states().values()) == {"dead"}


# --- what the pages tell -------------------------------------------------------------------------------------------


@pytest.mark.requirement("M13")
def test_a_dead_letter_tells_payload_contract_attempts_and_conversation(drain, operator):
    (dead,) = make_dead(drain, 7, behaviour="fail")
    text = page(operator, detail(dead))
    assert "<h1>lab.note gave up</h1>" in text
    assert "&quot;number&quot;: 7" in text
    assert "Write one effect." in text
    assert text.count("Traceback (most recent call last)") == 3
    assert "told to fail" in text
    assert "The whole conversation" in text
    assert str(Message.objects.get().correlation_id) in text


def test_a_dead_letter_names_its_order_leads_there_and_is_found_by_it(busy_shop, drain, operator):
    (other,) = make_dead(drain, 1)
    order = busy_shop.placed()
    delivery = Delivery.objects.get(consumer="payments.create_intent")
    Delivery.objects.filter(id=delivery.id).update(state="dead", attempts=1, died_at=timezone.now())
    words, href = f"Order …{order['id'][-8:]}", f'href="/staff/orders/{order["id"]}/"'
    text = page(operator, LIST)
    assert text.count(words) == 1
    assert text.count(href) == 1
    assert f"{href}><code>{order['id']}</code>" in page(operator, detail(delivery))
    found = page(operator, f"{LIST}?q={order['id']}")
    assert re.findall(r'name="_selected_action" value="(\d+)"', found) == [str(delivery.id)]
    found = page(operator, f"{LIST}?q={other.message_id}")
    assert re.findall(r'name="_selected_action" value="(\d+)"', found) == [str(other.id)]


def test_dead_letters_are_grouped_by_cause_and_a_group_can_be_chosen(drain, operator):
    first, second = make_dead(drain, 1, 2)
    (other,) = make_dead(drain, 3, behaviour="fail")
    assert first.fingerprint == second.fingerprint != other.fingerprint
    text = page(operator, LIST)
    assert re.findall(r'class="count">(\d+)<', text) == ["2", "1"]
    chosen = page(operator, f"{LIST}?fingerprint={first.fingerprint}")
    ids = {int(found) for found in re.findall(r'name="_selected_action" value="(\d+)"', chosen)}
    assert ids == {first.id, second.id}
    assert re.findall(r'class="count">(\d+)<', chosen) == ["2"]


def test_no_dead_letters_is_good_news(transactional_db, operator):
    assert "No dead letters." in page(operator, LIST)
    assert "No dead letters of this cause any more." in page(operator, f"{LIST}?fingerprint=gone")


def test_of_many_groups_the_largest_are_shown_and_the_rest_is_mentioned(drain, operator, monkeypatch):
    monkeypatch.setattr(dead_letters, "GROUPS_SHOWN", 1)
    make_dead(drain, 1, 2)
    make_dead(drain, 3, behaviour="fail")
    text = page(operator, LIST)
    assert re.findall(r'class="count">(\d+)<', text) == ["2"]
    assert "there are more" in text


def test_the_saga_and_its_step_are_one_click_away_from_the_dead_letter(drain, operator, told_of_saga):
    bench = uuid4()
    with unit_of_work():
        saga_id = start(ONE_STEP, key=bench, data={"bench_id": bench})
    drain()
    dead = Delivery.objects.get(state="dead")
    text = page(operator, detail(dead))
    assert f"/admin/outbox/saga/{saga_id}/change/" in text
    assert "Write the note" in text
    saga = page(operator, f"/admin/outbox/saga/{saga_id}/change/")
    assert "Stuck going forward" in saga
    assert f"{LIST}{dead.id}/change/" in saga
    assert str(bench) in saga


@pytest.mark.requirement("M28")
def test_a_saga_shows_steps_begun_and_steps_to_come(busy_shop, operator):
    busy_shop.placed()
    saga = Saga.objects.get()
    text = page(operator, f"/admin/outbox/saga/{saga.id}/change/")
    steps = re.findall(r'<b>([\w ]+)</b> <span class="state">([\w ]+)</span>', text)
    assert steps[:2] == [("Reserve stock", "Done"), ("Authorise payment", "Running")]
    assert [label for label, _ in steps] == [step.label for step in definition_of(saga).steps]
    assert {word for _, word in steps[2:]} == {"To come"}
    assert f"/admin/outbox/message/{saga.steps.get(position=1).command_id}/change/" in text


def test_what_is_no_dead_letter_any_more_leads_to_its_message_with_a_word_why(drain, operator):
    (dead,) = make_dead(drain, 1)
    operator.post(verb(dead, "discard"), {"reason": "not wanted"})
    answer = operator.get(detail(dead), follow=True)
    assert answer.redirect_chain[-1][0] == f"/admin/outbox/message/{dead.message_id}/change/"
    assert "(not wanted)" in answer.content.decode()


def test_a_paused_consumer_is_told_before_one_retries(drain, operator):
    (dead,) = make_dead(drain, 1)
    with unit_of_work():
        control.pause(["lab.note"], "an incident")
    control.forget()
    assert "lab.note is paused: a retry waits until it is resumed." in page(operator, detail(dead))


@pytest.mark.requirement("M46")
@pytest.mark.parametrize("where", ["list", "detail", "message", "attempt", "audit", "confirm"])
def test_what_customers_wrote_is_text_wherever_it_is_shown(drain, operator, where):
    with unit_of_work():
        send(Note(bench_id=uuid4(), number=1, behaviour="permanent"))
    drain()
    dead = Delivery.objects.get()
    Delivery.objects.update(last_error=NASTY, consumer="lab.note")
    Attempt.objects.update(error=NASTY, traceback=NASTY, error_class=NASTY)
    Message.objects.update(payload={"note": NASTY, NASTY: 1}, headers={"x": NASTY}, actor=NASTY)
    if where == "audit":
        operator.post(verb(dead, "retry"), {"reason": NASTY})
    texts = {
        "list": lambda: page(operator, LIST),
        "detail": lambda: page(operator, detail(dead)),
        "message": lambda: page(operator, f"/admin/outbox/message/{dead.message_id}/change/"),
        "attempt": lambda: page(operator, f"/admin/outbox/attempt/{Attempt.objects.get().id}/change/"),
        "audit": lambda: page(operator, f"/admin/outbox/auditentry/{AuditEntry.objects.get().id}/change/"),
        "confirm": lambda: operator.post(
            LIST, {"action": "retry_selected", "_selected_action": dead.id}
        ).content.decode(),
    }
    text = texts[where]()
    assert "onerror=alert(1)" in text
    assert NASTY not in text


def test_messages_are_found_by_id_correlation_and_what_they_are_about(busy_shop, operator):
    placed = busy_shop.placed()
    message = Message.objects.filter(aggregate="order").first()
    for wanted in (message.id, message.correlation_id, message.aggregate_id, message.id.hex, placed["id"]):
        assert str(message.id) in page(operator, f"/admin/outbox/message/?q={wanted}"), wanted
    assert str(message.id) not in page(operator, f"/admin/outbox/message/?q={uuid4()}")
    assert str(message.id) not in page(operator, "/admin/outbox/message/?q=nonsense")


@pytest.mark.parametrize("model", [Message, Delivery, Attempt, Transition])
def test_lists_of_big_tables_count_nothing_and_ask_a_bounded_number_of_questions(drain, operator, statements, model):
    make_dead(drain, *range(12))
    url = reverse(f"admin:outbox_{model._meta.model_name}_changelist")
    page(operator, url)
    statements.clear()
    page(operator, url)
    assert not [sql for sql in statements if "COUNT(" in sql and model._meta.db_table in sql]
    assert len(statements) <= 8, statements


def test_the_dead_letters_list_asks_a_bounded_number_of_questions(drain, operator, statements):
    make_dead(drain, *range(12))
    page(operator, LIST)
    statements.clear()
    page(operator, LIST)
    assert len(statements) <= 8, statements


def test_sagas_that_are_stuck_are_listed_by_the_link_of_the_staffs_pages(drain, operator, told_of_saga):
    bench = uuid4()
    with unit_of_work():
        saga_id = start(ONE_STEP, key=bench, data={"bench_id": bench})
    drain()
    link = "/admin/outbox/saga/?status__in=forward_stuck,compensation_stuck"
    assert str(saga_id) in page(operator, link)
    assert str(saga_id) not in page(operator, "/admin/outbox/saga/?status__exact=completed")
