"""The carrier's callbacks: genuine ones are kept once and applied as messages."""

import json
from datetime import UTC, datetime, timedelta
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from standardwebhooks import Webhook

from fulfillment.commands import BookShipments
from fulfillment.models import CarrierCallback
from fulfillment.references import order_reference, shipment_reference
from outbox.models import Message
from tests.integration.fulfillment.goods import ask, parcel, told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def secret(settings):
    settings.CARRIER_WEBHOOK_SECRET = SECRET


def document(**changes) -> dict:
    return {
        "id": "cevt_1",
        "type": "parcel.collected",
        "label": "lbl_1",
        "shipment": shipment_reference(uuid4()),
        "order": order_reference(uuid4()),
        "tracking_number": "TC1",
        "sequence": 1,
        "occurred_at": "2026-01-31T10:00:00.000Z",
    } | changes


def post(body: str, *, webhook_id: str = "cevt_1", at: datetime | None = None, secret: str = SECRET, **headers: str):
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(webhook_id, at, body)
    sent = {"webhook-id": webhook_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    sent |= headers
    return Client().post("/callbacks/carrier", body, content_type="application/json", headers=sent)


@pytest.mark.requirement("M8")
def test_a_callback_is_answered_at_once_and_kept_with_its_message(statements):
    document_sent = document(note="\x00")
    answer = post(json.dumps(document_sent))
    assert (answer.status_code, answer.content) == (204, b"")
    assert json.loads(CarrierCallback.objects.get().body) == document_sent
    message = Message.objects.get()
    assert (message.name, message.actor) == ("fulfillment.follow_parcel", "carrier")


@pytest.mark.requirement("M8")
def test_a_callback_that_comes_a_hundred_times_is_one_message():
    body = json.dumps(document())
    assert {post(body).status_code for _ in range(100)} == {204}
    assert (CarrierCallback.objects.count(), Message.objects.count()) == (1, 1)


def test_the_same_callback_twice_at_the_same_moment_is_one_message():
    body, answers = json.dumps(document()), []

    def send() -> None:
        answers.append(post(body).status_code)
        connection.close()

    threads = [Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * 12
    assert (CarrierCallback.objects.count(), Message.objects.count()) == (1, 1)


def test_a_callback_moves_its_parcel(drain, order, carrier):
    ask(BookShipments(order_id=order))
    drain()
    lis = parcel(order, "LIS")
    ours = {"shipment": shipment_reference(lis.id), "order": order_reference(order), "label": lis.label_id}
    post(json.dumps(document(type="parcel.delivered", sequence=2, **ours)), webhook_id="cevt_2")
    post(json.dumps(document(**ours)), webhook_id="cevt_1")
    drain()
    assert parcel(order, "LIS").status == "delivered"
    assert told(order)[2:] == ["shipment_handed_over", "shipment_delivered"]


def _nothing_kept() -> bool:
    return not CarrierCallback.objects.exists() and not Message.objects.exists()


@pytest.mark.parametrize(
    "forgery",
    [
        {"secret": "whsec_" + "A" * 32},
        {"away": timedelta(seconds=-301)},
        {"away": timedelta(seconds=400)},
        {"webhook-id": "cevt_other"},
        {"webhook-signature": ""},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": "nonsense"},
        {"webhook-timestamp": "yesterday"},
    ],
    ids=["other secret", "too old", "from the future", "other id", "no signature", "v2 only", "nonsense", "no time"],
)
def test_a_callback_that_is_not_genuine_is_refused(forgery):
    forgery = dict(forgery)
    if away := forgery.pop("away", None):
        forgery["at"] = datetime.now(UTC) + away
    answer = post(json.dumps(document()), **forgery)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")
    assert answer["content-type"] == "application/problem+json"
    assert _nothing_kept()


def test_a_callback_without_a_signature_is_refused():
    answer = Client().post("/callbacks/carrier", json.dumps(document()), content_type="application/json")
    assert answer.status_code == 401


def test_a_tampered_body_is_refused():
    body = json.dumps(document())
    at = datetime.now(UTC)
    signature = Webhook(SECRET).sign("cevt_1", at, body)
    answer = post(body.replace("TC1", "TC2"), at=at, **{"webhook-signature": signature})
    assert answer.status_code == 401
    assert _nothing_kept()


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[]",
        '"text"',
        json.dumps(document(shipment="shp_of_somebody_else")),
        json.dumps(document(order=None)),
        json.dumps(document(sequence="1")),
        json.dumps(document(sequence=0)),
        json.dumps(document(sequence=10**30)),
        json.dumps(document(label="x" * 81)),
        json.dumps(document(tracking_number="TC\x001")),
        json.dumps(document(occurred_at="yesterday")),
        "[" * 30_000,
        '{"deep": ' + "[" * 30_000 + "]" * 30_000 + "}",
    ],
    ids=lambda body: body[:20],
)
def test_a_genuine_callback_that_cannot_be_read_is_refused_and_not_kept(body):
    answer = post(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert _nothing_kept()


def test_a_body_that_is_no_text_is_refused():
    signed = {"webhook-id": "cevt_1", "webhook-timestamp": str(int(datetime.now(UTC).timestamp()))}
    answer = Client().post(
        *("/callbacks/carrier", b"\xff\xfe"),
        content_type="application/json",
        headers=signed | {"webhook-signature": "v1,AAAA"},
    )
    assert answer.status_code == 401


def test_an_id_that_is_too_long_to_keep_is_refused():
    assert post(json.dumps(document()), webhook_id="x" * 256).status_code == 400
    assert _nothing_kept()


def test_a_huge_callback_is_refused_unread():
    answer = post(json.dumps(document(padding="x" * 70_000)))
    assert answer.status_code == 413
    assert _nothing_kept()


def test_only_posting_is_possible():
    assert Client().get("/callbacks/carrier").status_code == 405
