"""A sandbox that is killed goes on where it stopped."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.sandboxes.orders import authorised, booking, captured, carrier_call, intent_params
from tests.sandboxes.processes import Receiver, Sandbox, carrier_sandbox, eventually, payments_sandbox

pytestmark = pytest.mark.usefixtures("localstripe_available")


@pytest.fixture
def away() -> Iterator[Receiver]:
    """A receiver that is not there yet."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def mortal(tmp_path, away) -> Iterator[Sandbox]:
    sandbox = payments_sandbox(tmp_path, away.url)
    sandbox.start()
    yield sandbox
    sandbox.stop()


def damage(data: Path, *statements: str) -> None:
    """Take back what a crash would have left unwritten."""
    connection = sqlite3.connect(data / "payments.sqlite3")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_killed_payment_sandbox_keeps_money_keys_faults_and_callbacks(mortal, away):
    options = {"idempotency_key": "one-key"}
    params = intent_params(order_id="ord_1")
    intent = mortal.stripe().v1.payment_intents.create(params, options=options)
    mortal.stripe().v1.payment_intents.confirm(intent.id)
    paid = captured(mortal)
    mortal.fault(target="payments", mode="latency", latency_ms=1)
    ledger = mortal.client.get("/ledger").json()
    localstripe = mortal.children()

    mortal.kill()
    eventually(lambda: not any(child.is_running() for child in localstripe))
    mortal.start()

    assert mortal.client.get("/ledger").json() == ledger
    assert mortal.stripe().v1.payment_intents.create(params, options=options).id == intent.id
    assert mortal.stripe().v1.payment_intents.capture(intent.id).status == "succeeded"
    assert mortal.stripe().v1.refunds.create({"payment_intent": paid.id}).amount == 2580
    assert [fault["mode"] for fault in mortal.client.get("/faults").json()["faults"]] == ["latency"]
    away.start()
    eventually(lambda: len(away.about("id", paid.id)) == 3)
    assert {document["type"] for document in away.about("id", paid.id)} == {
        *("payment_intent.amount_capturable_updated", "payment_intent.succeeded", "charge.refunded"),
    }


def test_a_killed_localstripe_comes_back_with_its_payments(mortal):
    intent = authorised(mortal)
    (localstripe,) = mortal.children()
    localstripe.kill()
    eventually(lambda: [child.pid for child in mortal.children()] not in ([], [localstripe.pid]))
    eventually(lambda: mortal.client.get("/health").status_code == 200)
    assert mortal.stripe().v1.payment_intents.capture(intent.id).status == "succeeded"


def test_a_key_whose_answer_was_lost_in_a_crash_still_has_one_effect(mortal, tmp_path):
    calls = mortal.stripe().v1
    params, options = intent_params(order_id="ord_1"), {"idempotency_key": "create"}
    intent = calls.payment_intents.create(params, options=options)
    paid = captured(mortal)
    refund = calls.refunds.create({"payment_intent": paid.id, "amount": 500}, options={"idempotency_key": "refund"})
    mortal.kill()
    damage(
        tmp_path,
        "UPDATE idempotency_key SET status = NULL, body = NULL",
        f"DELETE FROM payment WHERE intent = '{intent.id}'",
        f"DELETE FROM object WHERE id IN ('{intent.id}', '{refund.id}')",
        f"UPDATE payment SET unsettled = 1, status = 'requires_capture', captured = 0 WHERE intent = '{paid.id}'",
    )
    mortal.start()

    assert mortal.payment(intent.id)["order"] == "ord_1"
    assert (mortal.payment(paid.id)["captured"], mortal.payment(paid.id)["refunded"]) == ("25.80", "5.00")
    assert calls.payment_intents.create(params, options=options).id == intent.id
    repeated = calls.refunds.create({"payment_intent": paid.id, "amount": 500}, options={"idempotency_key": "refund"})
    assert repeated.id == refund.id
    assert mortal.payment(paid.id)["refunded"] == "5.00"


def test_a_killed_carrier_keeps_its_labels_and_calls_back_later(tmp_path, away):
    carrier = carrier_sandbox(tmp_path, away.url)
    carrier.start()
    try:
        label = carrier_call(carrier, "POST", "/v1/labels", booking(), key="one-key").json()
        carrier.kill()
        carrier.start()
        away.start()
        eventually(lambda: len(away.about("label", label["id"])) >= 2)
        types = sorted(document["type"] for document in away.about("label", label["id"]))
        assert types == ["parcel.collected", "parcel.delivered"]
    finally:
        carrier.stop()


def test_a_stopped_sandbox_leaves_no_process_behind(tmp_path, away):
    sandbox = payments_sandbox(tmp_path, away.url)
    sandbox.start()
    children = sandbox.children()
    assert len(children) == 1
    sandbox.stop()
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children)


def test_without_its_peer_the_switchboard_says_so(tmp_path, away):
    sandbox = payments_sandbox(tmp_path, away.url, "--peer-url", "http://127.0.0.1:9")
    sandbox.start()
    try:
        answer = sandbox.client.get("/ledger")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "http://127.0.0.1:9 does not answer" in answer.json()["error"]["message"]
    finally:
        sandbox.stop()
