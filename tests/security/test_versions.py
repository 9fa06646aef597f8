"""The API's form by date: whoever wrote against an earlier one is answered in it."""

import json

import pytest

from config.openapi import openapi_document
from config.openapi.examples import Examples
from orders.api_keys import issue_key
from orders.models import ApiKey
from orders.versions import CHANGES, CURRENT, FIRST, VERSIONS, as_of
from outbox.publishing import unit_of_work
from tests.shop import Caller

pytestmark = pytest.mark.requirement("M43")

PAYMENT = {"object": "payment", "id": "pay_1", "decline": {"code": "generic_decline", "reason": "No."}}
FLAT = {"object": "payment", "id": "pay_1", "decline_code": "generic_decline", "decline_reason": "No."}


def first_payment(response) -> dict:
    return response.json()["data"][0]


def test_the_present_version_is_shown_unless_another_one_is_asked_for(shop):
    order = shop.placed()["id"]
    response = shop.get(f"orders/{order}/payments")
    assert response["Tandem-Version"] == CURRENT == VERSIONS[0]
    assert first_payment(response)["decline"] is None
    assert "decline_code" not in first_payment(response)
    assert "Tandem-Version" in response["Vary"]


def test_an_earlier_version_is_shown_to_whoever_asks_for_it(shop):
    order = shop.placed()["id"]
    response = shop.get(f"orders/{order}/payments", tandem_version=FIRST)
    assert response["Tandem-Version"] == FIRST
    payment = first_payment(response)
    assert (payment["decline_code"], payment["decline_reason"]) == (None, None)
    assert "decline" not in payment
    assert int(response["Content-Length"]) == len(response.content)


def test_a_decline_is_told_in_the_form_of_its_time():
    assert as_of(FIRST, {"data": [PAYMENT], "next": None}) == {"data": [FLAT], "next": None}
    assert as_of(CURRENT, {"data": [PAYMENT]}) == {"data": [PAYMENT]}
    assert as_of(FIRST, {"object": "event", "data": {"payment": PAYMENT}})["data"] == {"payment": FLAT}


@pytest.mark.parametrize("version", ["2020-01-01", "2026-11-26", "1", "", "x" * 200])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(shop, version):
    response = shop.get("account", tandem_version=version)
    assert (response.status_code, response.json()["code"]) == (400, "unknown_version")
    assert response.json()["versions"] == list(VERSIONS)
    assert all(known in response.json()["detail"] for known in VERSIONS)


def test_nothing_is_done_in_a_version_that_does_not_exist(shop):
    assert shop.place(tandem_version="2020-01-01").json()["code"] == "unknown_version"
    assert shop.get("orders").json()["data"] == []


def test_a_key_is_pinned_when_it_is_made_and_a_header_overrides_it(shop):
    made = shop.post("api_keys", {"name": "Old till", "scopes": ["payments:read"], "api_version": FIRST}).json()
    old = Caller(shop.customer, made["key"])
    path = f"orders/{shop.placed()['id']}/payments"
    assert made["api_version"] == FIRST
    assert old.get(path)["Tandem-Version"] == FIRST
    assert "decline_code" in first_payment(old.get(path))
    assert "decline" in first_payment(old.get(path, tandem_version=CURRENT))


def test_a_new_key_gets_the_present_version_and_a_rotated_one_keeps_its_own(shop):
    assert shop.post("api_keys", {"name": "New", "scopes": ["orders:read"]}).json()["api_version"] == CURRENT
    old = shop.post("api_keys", {"name": "Old", "scopes": ["orders:read"], "api_version": FIRST}).json()["id"]
    assert shop.post(f"api_keys/{old}/rotation").json()["api_version"] == FIRST
    refused = shop.post("api_keys", {"name": "x", "scopes": ["orders:read"], "api_version": "2020-01-01"})
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/api_version"]


def test_a_key_from_before_there_were_versions_stays_with_the_first(shop):
    with unit_of_work():
        key = issue_key(customer=shop.customer, name="Before")
    row = ApiKey.objects.get(name="Before")
    columns = {field.attname: getattr(row, field.attname) for field in ApiKey._meta.fields}
    row.delete()
    ApiKey.objects.bulk_create([ApiKey(**{name: columns[name] for name in columns if name != "api_version"})])
    assert Caller(shop.customer, key).get("account")["Tandem-Version"] == FIRST


def test_an_etag_belongs_to_its_version(shop):
    order = shop.placed()["id"]
    now, before = (shop.get(f"orders/{order}", tandem_version=version)["ETag"] for version in (CURRENT, FIRST))
    assert now != before
    for version, tag, status in [(CURRENT, now, 304), (FIRST, before, 304), (CURRENT, before, 200), (FIRST, now, 200)]:
        response = shop.get(f"orders/{order}", tandem_version=version, if_none_match=tag)
        assert response.status_code == status, (version, tag)
        assert response["Tandem-Version"] == version
    assert shop.post(f"orders/{order}/cancellation", if_match=before).status_code == 202


def test_a_remembered_answer_is_repeated_in_the_version_that_is_asked_for(shop):
    first = shop.place(key="k", tandem_version=FIRST)
    again = shop.place(key="k", tandem_version=FIRST)
    assert (again.content, again["ETag"], again["Idempotent-Replayed"]) == (first.content, first["ETag"], "true")
    assert shop.place(key="k").json() == first.json()


def test_versions_are_dates_newest_first_and_every_change_says_what_it_is():
    assert list(VERSIONS) == sorted(VERSIONS, reverse=True)
    assert all(change.told and change.earlier for change in CHANGES)


def test_the_changelog_tells_of_every_version(client):
    page = client.get("/docs/changelog").content.decode()
    assert all(version in page for version in VERSIONS)
    assert "<code>decline</code> is null" in page
    assert "`" not in page


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["OrderObject", "Progress"])
def test_what_the_waiting_layer_reads_is_in_every_version(version, name):
    schemas = json.loads(openapi_document())["components"]["schemas"]
    present = Examples(schemas).of(schemas[name])
    shown = as_of(version, present)
    for member in ("status", "payment_status", "state"):
        assert shown.get(member) == present.get(member)
