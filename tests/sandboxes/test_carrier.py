"""The carrier's API: one label per key, no void after the collection, clear refusals."""

import uuid

import pytest

from tests.sandboxes.orders import booking, carrier_call
from tests.sandboxes.processes import CARRIER_KEY, eventually


def test_a_booking_answers_a_ready_label_that_can_be_read_and_found(carrier):
    asked = booking()
    answer = carrier_call(carrier, "POST", "/v1/labels", asked)
    label = answer.json()
    assert answer.status_code == 201
    assert (label["shipment"], label["order"], label["status"]) == (asked["shipment"], asked["order"], "ready")
    found = carrier_call(carrier, "GET", f"/v1/labels?shipment={asked['shipment']}").json()["data"]
    assert [one["id"] for one in found] == [label["id"]]
    document = carrier.client.get(label["label_url"], headers={"Authorization": f"Bearer {CARRIER_KEY}"})
    assert document.headers["Content-Type"].startswith("text/plain")
    assert label["tracking_number"] in document.text


def test_the_same_key_answers_the_same_label_and_another_body_is_refused(carrier):
    key, asked = uuid.uuid4().hex, booking()
    first = carrier_call(carrier, "POST", "/v1/labels", asked, key=key)
    second = carrier_call(carrier, "POST", "/v1/labels", asked, key=key)
    assert second.json()["id"] == first.json()["id"]
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    other = carrier_call(carrier, "POST", "/v1/labels", booking(), key=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    carrier.client.delete("/idempotency_keys")
    assert carrier_call(carrier, "POST", "/v1/labels", asked, key=key).json()["id"] != first.json()["id"]


def test_a_voided_label_stays_voided_and_its_parcel_is_not_collected(carrier):
    label = carrier_call(carrier, "POST", "/v1/labels", booking()).json()
    answers = [carrier_call(carrier, "POST", f"/v1/labels/{label['id']}/void") for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "voided")] * 2
    later = carrier_call(carrier, "POST", "/v1/labels", booking()).json()
    eventually(lambda: carrier_call(carrier, "GET", f"/v1/labels/{later['id']}").json()["status"] == "delivered")
    assert carrier_call(carrier, "GET", f"/v1/labels/{label['id']}").json()["status"] == "voided"


def test_a_collected_parcels_label_cannot_be_voided(carrier):
    label = carrier_call(carrier, "POST", "/v1/labels", booking()).json()
    eventually(lambda: carrier_call(carrier, "GET", f"/v1/labels/{label['id']}").json()["status"] != "ready")
    answer = carrier_call(carrier, "POST", f"/v1/labels/{label['id']}/void")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_collected")


def test_an_undeliverable_address_is_refused_and_no_label_is_made(carrier):
    asked = booking(postal_code="00000")
    answer = carrier_call(carrier, "POST", "/v1/labels", asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "undeliverable_address")
    assert carrier_call(carrier, "GET", f"/v1/labels?shipment={asked['shipment']}").json() == {"data": []}


@pytest.mark.parametrize("broken", [{"shipment": ""}, {"recipient": "Lisbon"}, {"parcels": []}, {"order": None}])
def test_a_booking_with_a_part_missing_is_refused(carrier, broken):
    answer = carrier_call(carrier, "POST", "/v1/labels", booking() | broken)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert next(iter(broken)) in answer.json()["error"]["message"]


def test_a_stranger_is_refused(carrier):
    answer = carrier.client.get("/v1/labels?shipment=shp_1", headers={"Authorization": "Bearer other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert carrier_call(carrier, "GET", "/v1/labels/lbl_none").status_code == 404
