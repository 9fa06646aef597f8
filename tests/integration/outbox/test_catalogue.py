"""The catalogue of contracts in the console."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders.customers import create_staff
from outbox import catalogue
from outbox.contracts import all_contracts, contract_named
from outbox.models import Rollup
from outbox.publishing import unit_of_work

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("M18", "M46")]
LIST = "/admin/outbox/message/contracts/"


@pytest.fixture
def viewer(transactional_db) -> Client:
    with unit_of_work():
        create_staff(username="vera", role="viewer")
    client = Client()
    client.force_login(User.objects.get(username="vera"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(client: Client, path: str = "") -> str:
    answer = client.get(LIST + path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_contract_of_the_release_is_listed_with_owner_promise_and_consumers(viewer):
    html = page(viewer)
    assert all(f'href="{LIST}{declared.name}/"' in html for declared in all_contracts())
    assert all(f'<h2 id="owner-{owner}">' in html for owner in ("orders", "payments", "fulfillment"))
    assert "A customer ordered; the stock is reserved and the payment intended." in html
    assert "<code>fulfillment.book_label</code>" in html


def test_a_contract_tells_its_fields_versions_sample_and_schema_and_what_its_consumers_did_lately(viewer):
    minute = timezone.now().replace(second=0, microsecond=0)
    Rollup.objects.create(minute=minute, consumer="orders.tally", measure="le_10", value=1234)
    Rollup.objects.create(minute=minute, consumer="orders.tally", measure="failed", value=7)
    Rollup.objects.create(
        minute=minute - timezone.timedelta(hours=2), consumer="orders.tally", measure="le_10", value=9
    )
    html = page(viewer, "orders.order_placed/")
    for words in (
        "<code>placed_at</code>",
        "The moment by which the order is counted.",
        "time, with its zone",
        "versions 2, 1",
        "2026-01-02T03:04:05.678Z",
        "orders.order_placed/v2",
        "100 in a transaction",
        "1,234 done",
        "7 failed",
    ):
        assert words in html, words


def test_an_external_consumer_is_told_with_whom_it_calls(viewer):
    assert "calls carrier" in page(viewer, "fulfillment.book_label/")


def test_a_contract_that_this_release_does_not_have_is_not_found(viewer):
    assert viewer.get(f"{LIST}orders.of_tomorrow/").status_code == 404


def test_it_is_for_those_who_may_see_messages(transactional_db):
    clerk = User.objects.create_user("clerk", is_staff=True)
    client = Client()
    client.force_login(clerk, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(LIST).status_code == 403
    assert Client().get(LIST).status_code == 302


def test_the_sidebar_and_a_messages_page_lead_to_it(viewer):
    assert viewer.get("/admin/outbox/delivery/").content.decode().count(f'href="{LIST}"') == 1


def test_where_no_sample_is_kept_one_is_made(settings, tmp_path):
    settings.CONTRACTS_FOLDER = tmp_path
    entry = catalogue.entry_of(contract_named("lab.note"))
    assert '"number": 1' in entry.sample
    assert [(field.name, field.required) for field in entry.fields] == [
        ("bench_id", True),
        ("number", True),
        ("behaviour", False),
    ]


@pytest.mark.requirement("M27")
def test_the_sidebar_marks_the_page_that_is_shown_and_no_other(viewer):
    for shown in ("/admin/outbox/message/", "/admin/outbox/message/contracts/"):
        groups = viewer.get(shown).context["sidebar_navigation"]
        assert [str(item["link"]) for group in groups for item in group["items"] if item["active"]] == [shown]
