"""The provider's door: signed, stored once, answered at once, believed never."""

import json
import time

import pytest
import stripe

from outbox.models import Delivery, Message
from payments import urls
from payments.gateways.base import IntentStatus
from payments.models import ProviderEvent

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.urls("tests.integration.payments.test_callbacks"),
    pytest.mark.requirement("M8"),
]
urlpatterns = urls.callback_urls
SECRET = "whsec_for_these_tests"


@pytest.fixture(autouse=True)
def secret(settings):
    settings.PAYMENT_WEBHOOK_SECRET = SECRET


def event(*, event_id="evt_1", kind="payment_intent.succeeded", **thing) -> str:
    body = {"id": event_id, "object": "event", "type": kind, "data": {"object": {"object": "payment_intent"} | thing}}
    return json.dumps(body)


def signature(body: str, *, secret: str = SECRET, age: int = 0) -> str:
    return stripe.WebhookSignature.generate_signature_header(body, secret, timestamp=int(time.time()) - age)


@pytest.fixture
def post(client):
    def send(body: str, header: str | None = None):
        return client.post(
            "/callbacks/payments",
            body,
            content_type="application/json",
            headers={"Stripe-Signature": signature(body) if header is None else header},
        )

    return send


def test_a_callback_is_stored_answered_and_acted_on_from_a_fresh_look(case, provider, post):
    case.authorise()
    provider.change(status=IntentStatus.SUCCEEDED, captured=case.row.amount)
    answer = post(event(id=provider.only.reference, status="canceled"))
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert case.view.status == "authorised"
    case.work()
    assert case.view.status == "captured"
    assert case.events == ["authorised", "captured"]


def test_a_repeated_callback_has_no_effect(case, provider, post):
    case.authorise()
    body = event(id=provider.only.reference)
    assert {post(body).status_code for _ in range(100)} == {200}
    assert ProviderEvent.objects.count() == 1
    assert Message.objects.filter(name="payments.synchronise_payment").count() == 1


def test_a_callback_is_recorded_with_who_said_it(case, provider, post):
    case.authorise()
    post(event(id=provider.only.reference))
    assert Message.objects.get(name="payments.synchronise_payment").actor == "provider:payments"
    stored = ProviderEvent.objects.get()
    assert (stored.event_id, stored.type) == ("evt_1", "payment_intent.succeeded")
    assert (stored.reference, stored.payment_id) == (provider.only.reference, case.payment_id)


@pytest.mark.requirement("M20")
def test_a_callback_joins_the_conversation_of_its_payment(case, provider, post):
    case.authorise()
    post(event(id=provider.only.reference))
    assert Message.objects.values("correlation_id").distinct().count() == 1


def test_a_callback_that_comes_before_our_own_commit_finds_its_payment_by_our_id(case, provider, post):
    answer = post(event(id="pi_1", metadata={"payment": f"pay_{case.payment_id.hex}"}))
    assert answer.status_code == 200
    command = Message.objects.get(name="payments.synchronise_payment")
    assert command.payload["payment_id"] == str(case.payment_id)
    assert command.payload["reference"] == "pi_1"
    Delivery.objects.all().delete()


def test_a_callback_about_a_refund_or_a_charge_names_its_intent(case, provider, post):
    case.authorise()
    reference = provider.only.reference
    post(event(kind="charge.refunded", object="charge", id="ch_1", payment_intent=reference))
    assert ProviderEvent.objects.get().payment_id == case.payment_id
    case.work()


def test_a_callback_about_nothing_we_know_is_kept_for_people_to_see(post, provider):
    assert post(event(id="pi_unknown", metadata={"payment": "pay_" + "0" * 32})).status_code == 200
    stored = ProviderEvent.objects.get()
    assert (stored.reference, stored.payment) == ("pi_unknown", None)
    assert not Message.objects.exists()


FORGERIES = {
    "none": lambda body: "",
    "wrong": lambda body: "t=1,v1=00",
    "nonsense": lambda body: "nonsense",
    "empty": lambda body: "t=,v1=",
    "no number": lambda body: "t=abc,v1=00",
    "another secret": lambda body: signature(body, secret="whsec_other"),
    "another body": lambda body: signature(body + " "),
    "too old": lambda body: signature(body, age=301),
    "another scheme": lambda body: signature(body).replace("v1=", "v0="),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_what_the_provider_did_not_sign_lately_is_refused(post, forge):
    body = event(id="pi_1")
    answer = post(body, forge(body))
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "malformed_request"
    assert not ProviderEvent.objects.exists()


def test_a_signature_of_almost_five_minutes_is_good(post):
    body = event(id="pi_1")
    assert post(body, signature(body, age=290)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        "not json",
        '{"id": "evt_1", "object": "event"}',
        '{"id": "evt_1", "object": "event", "type": "x", "data": {"object": "pi_1"}}',
        '{"id": 7, "object": "event", "type": "x", "data": {"object": {"id": "pi_1"}}}',
        '{"id": "evt_1", "object": "event", "type": "' + "x" * 300 + '", "data": {"object": {"id": "pi_1"}}}',
        '{"id": "evt_1\\u0000", "object": "event", "type": "x", "data": {"object": {"id": "pi_1"}}}',
        "[" * 20_000,
    ],
    ids=["list", "null", "words", "no type", "no object", "number as id", "long type", "nul", "deep"],
)
def test_what_is_signed_but_no_event_is_refused(post, body):
    assert post(body).status_code == 400
    assert not ProviderEvent.objects.exists()


def test_too_large_a_body_is_refused(post, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert post(event(id="pi_1", padding="x" * 2000)).status_code == 413


def test_only_posting_is_allowed(client):
    assert client.get("/callbacks/payments").status_code == 405


def test_without_a_secret_nothing_is_accepted(post, settings):
    body = event(id="pi_1")
    signed = signature(body, secret="")
    settings.PAYMENT_WEBHOOK_SECRET = ""
    assert post(body, signed).status_code == 400
