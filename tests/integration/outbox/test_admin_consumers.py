"""The console's pages of consumers: their limits, and who may set them."""

import pytest
from django.test import Client

from outbox.models import AuditEntry, ConsumerControl
from tests.integration.outbox.test_admin import browser, nothing_remembered, operator, page

__all__ = ["nothing_remembered", "operator"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M27", "M46")]

CONTROLS = "/admin/outbox/consumercontrol/"
LIMITED = {"concurrency": "2", "per_second": "50", "minutes": "10", "reason": "it floods the log"}


def limits() -> list[tuple[str, int | None, float | None]]:
    return list(ConsumerControl.objects.values_list("consumer", "limit_concurrency", "limit_per_second"))


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", True), ("approver", True)])
def test_operators_and_approvers_limit_consumers_and_viewers_may_look(transactional_db, role, may):
    client = browser(role)
    assert "lab.note" in page(client, CONTROLS)
    text = page(client, f"{CONTROLS}lab.note/change/")
    assert ("<form" in text.split("<h2>What to do</h2>")[1]) is may
    answer = client.post(f"{CONTROLS}lab.note/throttle/", LIMITED)
    assert answer.status_code == (302 if may else 403)
    assert limits() == ([("lab.note", 2, 50.0)] if may else [])
    assert AuditEntry.objects.filter(subject="consumer:lab.note").count() == may


def test_limits_of_a_consumer_are_shown_lifted_and_on_record(transactional_db, operator):
    operator.post(f"{CONTROLS}lab.note/throttle/", LIMITED)
    text = page(operator, f"{CONTROLS}lab.note/change/")
    assert "2 at once, 50 a second" in text
    assert "it floods the log" in text
    operator.post(f"{CONTROLS}lab.note/lift/", {"reason": "mended"})
    assert limits() == [("lab.note", None, None)]
    entries = AuditEntry.objects.order_by("id").values_list("action", "actor", "reason")
    assert list(entries) == [
        ("outbox.throttle", "staff:some-operator", "it floods the log"),
        ("outbox.lift_throttle", "staff:some-operator", "mended"),
    ]


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"concurrency": "1.5"}, {"per_second": "many"}, {"minutes": "0"}])
def test_limits_that_make_no_sense_are_refused_in_words(transactional_db, operator, wrong):
    answer = operator.post(f"{CONTROLS}lab.note/throttle/", {**LIMITED, **wrong}, follow=True)
    assert "Nothing was changed." in answer.content.decode()
    assert limits() == []


@pytest.mark.parametrize("name", ["throttle", "lift"])
def test_consumers_are_limited_by_no_get_no_stranger_and_not_without_the_pages_token(transactional_db, name):
    strict = browser("operator", strict=True)
    assert strict.get(f"{CONTROLS}lab.note/{name}/", LIMITED).status_code == 405
    assert Client().post(f"{CONTROLS}lab.note/{name}/", LIMITED).status_code == 302
    assert strict.post(f"{CONTROLS}lab.note/{name}/", LIMITED).status_code == 403
    assert (limits(), AuditEntry.objects.count()) == ([], 0)


def test_an_unknown_consumer_has_no_page(transactional_db, operator):
    assert operator.get(f"{CONTROLS}lab.nobody/change/").status_code == 404
    assert operator.post(f"{CONTROLS}lab.nobody/throttle/", LIMITED).status_code == 404
