"""A destination's page: what holds, what was, and what operators may do, by permission and audited."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.customers import create_staff
from outbox import breakers
from outbox.models import AuditEntry, Breaker
from outbox.publishing import unit_of_work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M12", "M29")]
PAGE = "/admin/outbox/breaker/lab/change/"


@pytest.fixture(autouse=True)
def destinations(transactional_db):
    breakers.register_destinations()


def signed_in(role: str) -> Client:
    with unit_of_work():
        create_staff(username=role, role=role)
    client = Client()
    client.force_login(User.objects.get(username=role), backend="django.contrib.auth.backends.ModelBackend")
    return client


def do(client: Client, verb: str, **form: str) -> str:
    answer = client.post(f"/admin/outbox/breaker/lab/{verb}/", form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def row() -> Breaker:
    return Breaker.objects.get(destination="lab")


def test_an_operator_opens_and_closes_and_the_page_tells_the_history():
    operator = signed_in("operator")
    assert "It has never opened." in operator.get(PAGE).content.decode()
    page = do(operator, "open", reason="their maintenance", minutes="30")
    assert (row().state, row().pinned) == ("open", True)
    assert "Closed → Open" in page
    assert "their maintenance" in page
    page = do(operator, "close", reason="they are done")
    assert row().state == "closed"
    assert "Open → Closed" in page
    assert set(AuditEntry.objects.values_list("actor", flat=True)) == {"staff:operator"}


def test_an_operator_sets_and_lifts_limits():
    operator = signed_in("operator")
    page = do(operator, "throttle", reason="they asked for it", concurrency="3", per_second="0.5")
    assert (row().limit_concurrency, row().limit_per_second) == (3, 0.5)
    assert "they asked for it" in page
    do(operator, "lift", reason="over")
    assert (row().limit_concurrency, row().limit_per_second) == (None, None)


@pytest.mark.parametrize(
    ("verb", "form", "said"),
    [
        ("open", {"reason": " "}, "Say why"),
        ("open", {"reason": "x", "minutes": "-1"}, "A time is above zero"),
        ("throttle", {"reason": "x", "concurrency": "many"}, "is no number"),
        ("throttle", {"reason": "x"}, "Say what holds"),
        ("lift", {"reason": "x"}, "Nobody throttles"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(verb, form, said):
    assert said in do(signed_in("operator"), verb, **form)
    assert (row().state, row().limit_concurrency) == ("closed", None)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("verb", ["open", "close", "throttle", "lift"])
def test_who_may_only_look_changes_nothing(verb):
    viewer = signed_in("viewer")
    assert "may look but not change" in viewer.get(PAGE).content.decode()
    answer = viewer.post(f"/admin/outbox/breaker/lab/{verb}/", {"reason": "x", "concurrency": "1"})
    assert answer.status_code == 403
    assert (row().state, row().limit_concurrency) == ("closed", None)


def test_a_verb_is_no_link():
    assert signed_in("operator").get("/admin/outbox/breaker/lab/open/").status_code == 405
    assert row().state == "closed"
