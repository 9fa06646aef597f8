"""The whole way: engine, official SDK, HTTP, and a provider that nobody here wrote."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from uuid_utils.compat import uuid7

from outbox.models import Delivery
from outbox.outcomes import Permanent
from payments.gateways import payment_gateway
from payments.gateways.base import Declined, IntentStatus, RefundStatus, StateConflict
from payments.models import Payment
from tests.integration.payments.conftest import Case
from tests.sandboxes.processes import (
    LOCALSTRIPE_PYTHON,
    PAYMENT_SECRET,
    Receiver,
    Sandbox,
    eventually,
    payments_sandbox,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M3"),
    pytest.mark.skipif(not LOCALSTRIPE_PYTHON.exists(), reason="localstripe's environment is missing"),
]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory, receiver) -> Iterator[Sandbox]:
    sandbox = payments_sandbox(tmp_path_factory.mktemp("provider"), receiver.url)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(running, settings) -> Iterator[Sandbox]:
    settings.PAYMENT_API_BASE = running.url
    settings.PAYMENT_API_KEY = "sk_test_12345"
    settings.PAYMENT_WEBHOOK_SECRET = PAYMENT_SECRET
    yield running
    running.client.delete("/faults")


def books(sandbox: Sandbox, case: Case) -> dict:
    """What the provider believes of the case's payment."""
    order = f"ord_{case.order_id.hex}"
    (entry,) = [entry for entry in sandbox.client.get("/ledger").json()["payments"] if entry["order"] == order]
    return entry


def test_held_taken_and_partly_given_back(case, sandbox):
    case.authorise()
    case.capture()
    case.refund("5.80")
    assert case.view.status == "partially_refunded"
    entry = books(sandbox, case)
    assert (entry["authorised"], entry["captured"], entry["refunded"]) == ("25.80", "25.80", "5.80")
    assert [call["operation"] for call in entry["calls"]] == ["create", "confirm", "capture", "refund"]


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_of_nobody", "payment_method_unknown"),
    ],
)
def test_a_declined_payment_holds_nothing(new_case, sandbox, method, code):
    case = new_case(method=method)
    case.authorise()
    assert (case.view.status, case.view.decline_code) == ("declined", code)
    assert case.events == ["declined"]


def test_a_card_that_needs_its_holder_is_voided_when_they_do_not_come(new_case, sandbox):
    case = new_case(method="pm_card_authenticationRequired")
    case.authorise()
    assert case.view.status == "requires_action"
    case.void()
    assert case.view.status == "voided"
    assert books(sandbox, case)["voided"]
    Delivery.objects.filter(consumer="payments.synchronise").delete()


def test_a_capture_that_fails_is_told_and_the_amount_can_be_released(new_case, sandbox):
    case = new_case(method="pm_card_captureFails")
    case.authorise()
    case.capture()
    assert case.events == ["authorised", "capture_failed"]
    case.void()
    assert case.events == ["authorised", "capture_failed", "voided"]
    assert books(sandbox, case)["captured"] == "0.00"


def test_what_is_held_is_released_and_what_was_taken_is_given_back(new_case, sandbox):
    held, taken = new_case(), new_case("12.00")
    held.authorise()
    held.void()
    taken.authorise()
    taken.capture()
    taken.void()
    assert books(sandbox, held)["voided"]
    assert (books(sandbox, taken)["captured"], books(sandbox, taken)["refunded"]) == ("12.00", "12.00")


@pytest.mark.requirement("M8")
@pytest.mark.parametrize("mode", ["error", "drop", "garbage", "timeout_after_success"])
def test_each_step_is_done_once_through_a_faulty_line(case, sandbox, patience, mode):
    for step in (case.authorise, case.capture, lambda: case.refund("25.80")):
        sandbox.fault(target="payments", mode=mode, rate=1, status=503, latency_ms=100, for_s=0.3)
        step()
    assert case.events == ["authorised", "captured", "refunded"]
    entry = books(sandbox, case)
    assert (entry["authorised"], entry["captured"], entry["refunded"]) == ("25.80", "25.80", "25.80")


@pytest.mark.requirement("M11")
def test_a_throttling_provider_is_waited_for(case, sandbox):
    sandbox.fault(target="payments", mode="throttle", rate=1, retry_after_s=1, for_s=1)
    case.authorise()
    assert case.events == ["authorised"]


def test_the_providers_callback_is_understood(case, sandbox, receiver, client):
    case.authorise()
    gateway = payment_gateway()
    gateway.capture(case.view.provider_reference, key=f"elsewhere-{case.payment_id}")
    callback, *_repeated = eventually(lambda: [c for c in receiver.taken if case.view.provider_reference in c.body])
    answer = client.post(
        "/callbacks/payments",
        callback.body,
        content_type="application/json",
        headers={"Stripe-Signature": callback.headers.get("Stripe-Signature") or callback.headers["stripe-signature"]},
    )
    assert answer.status_code == 200
    case.work()
    assert case.view.status == "captured"
    assert json.loads(callback.body)["data"]["object"]["metadata"]["order"] == f"ord_{case.order_id.hex}"


def test_the_gateway_answers_in_its_own_values(case, sandbox):
    gateway, payment_id, total = payment_gateway(), uuid7(), Payment.objects.get().total
    made = gateway.create_intent(
        payment_id=payment_id, order_id=uuid7(), amount=total, payment_method="pm_card_visa", key=f"{payment_id}:a"
    )
    assert (made.status, made.amount, made.payment_id) == (IntentStatus.REQUIRES_CONFIRMATION, total, payment_id)
    again = gateway.create_intent(
        payment_id=payment_id, order_id=uuid7(), amount=total, payment_method="pm_card_visa", key=f"{payment_id}:b"
    )
    with pytest.raises(StateConflict):
        gateway.capture(made.reference, key=f"{payment_id}:c")
    assert gateway.confirm(made.reference, key=f"{payment_id}:d").status is IntentStatus.REQUIRES_CAPTURE
    with pytest.raises(StateConflict):
        gateway.confirm(made.reference, key=f"{payment_id}:e")
    assert gateway.capture(made.reference, key=f"{payment_id}:f").captured == Decimal("25.80")
    with pytest.raises(StateConflict):
        gateway.cancel(made.reference, key=f"{payment_id}:g")
    assert gateway.cancel(again.reference, key=f"{payment_id}:h").status is IntentStatus.CANCELED
    assert gateway.retrieve(made.reference).status is IntentStatus.SUCCEEDED


def test_intents_and_refunds_are_found_by_our_ids(case, sandbox):
    case.authorise()
    case.capture()
    gateway, row = payment_gateway(), case.row
    assert gateway.find_intent(row.id, since=row.created_at).reference == row.provider_reference
    assert gateway.find_intent(uuid7(), since=row.created_at) is None
    refund_id = case.refund("5.80")
    assert gateway.find_refund(row.provider_reference, refund_id).status is RefundStatus.SUCCEEDED
    assert gateway.find_refund(row.provider_reference, uuid7()) is None


def test_a_refund_beyond_what_was_taken_is_a_failed_refund(case, sandbox):
    case.authorise()
    case.capture()
    row = case.row
    seen = payment_gateway().refund(
        row.provider_reference, refund_id=uuid7(), amount=row.total * 2, key=f"{row.id}:too-much"
    )
    assert seen.status is RefundStatus.FAILED


def test_one_key_with_two_bodies_is_refused(case, sandbox):
    gateway, key, total = payment_gateway(), f"{uuid7()}:create", case.row.total
    first, second = (
        {"payment_id": uuid7(), "order_id": uuid7(), "amount": total, "payment_method": "pm_card_visa", "key": key}
        for _ in range(2)
    )
    assert not isinstance(gateway.create_intent(**first), Declined)
    with pytest.raises(Permanent):
        gateway.create_intent(**second)
