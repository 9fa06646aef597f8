"""Each fault does what it says, to the caller and to the ledger."""

import time

import httpx
import pytest
import stripe

from tests.sandboxes.orders import authorised, booking, captured, carrier_call, created, order
from tests.sandboxes.processes import eventually

pytestmark = pytest.mark.requirement("M39")


def entries(payments, order_id: str) -> list[dict]:
    return [entry for entry in payments.client.get("/ledger").json()["payments"] if entry["order"] == order_id]


def failing_create(payments, order_id: str) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        created(payments, order_id=order_id)
    return caught.value


def test_latency_delays_an_answer_that_is_otherwise_right(payments):
    payments.fault(target="payments", mode="latency", latency_ms=400)
    started = time.monotonic()
    assert created(payments).status == "requires_confirmation"
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize("status", [500, 503])
def test_error_answers_before_anything_is_done(payments, status):
    payments.fault(target="payments", mode="error", status=status)
    order_id = order()
    assert failing_create(payments, order_id).http_status == status
    assert entries(payments, order_id) == []


def test_throttle_answers_429_and_says_when_to_come_back(payments):
    payments.fault(target="payments", mode="throttle", retry_after_s=7)
    order_id = order()
    error = failing_create(payments, order_id)
    assert (type(error), error.http_status, error.headers["Retry-After"]) == (stripe.RateLimitError, 429, "7")
    assert entries(payments, order_id) == []


def test_drop_hangs_up_and_nothing_is_done(payments):
    payments.fault(target="payments", mode="drop")
    order_id = order()
    error = failing_create(payments, order_id)
    assert isinstance(error, stripe.APIConnectionError)
    assert entries(payments, order_id) == []


def test_timeout_after_success_does_the_work_and_never_answers(payments):
    payments.fault(target="payments", mode="timeout_after_success", latency_ms=300)
    order_id = order()
    started = time.monotonic()
    error = failing_create(payments, order_id)
    assert isinstance(error, stripe.APIConnectionError)
    assert time.monotonic() - started >= 0.3
    assert [entry["amount"] for entry in entries(payments, order_id)] == ["25.80"]


def test_a_call_repeated_with_its_key_after_a_timeout_has_one_effect(payments):
    intent = authorised(payments)
    capture = payments.stripe().v1.payment_intents.capture
    options = {"idempotency_key": f"capture-{intent.id}"}
    payments.fault(target="payments", mode="timeout_after_success", latency_ms=100)
    with pytest.raises(stripe.APIConnectionError):
        capture(intent.id, options=options)
    payments.client.delete("/faults")
    assert capture(intent.id, options=options).status == "succeeded"
    assert payments.payment(intent.id)["captured"] == "25.80"
    assert [call["replayed"] for call in payments.payment(intent.id)["calls"]][-2:] == [False, True]


def test_garbage_does_the_work_and_answers_200_that_cannot_be_read(payments):
    payments.fault(target="payments", mode="garbage")
    order_id = order()
    error = failing_create(payments, order_id)
    assert (type(error), error.http_status) == (stripe.APIError, 200)
    assert len(entries(payments, order_id)) == 1


def test_a_fault_with_rate_zero_never_hits_and_one_ends_by_itself(payments):
    payments.fault(target="payments", mode="error", rate=0)
    created(payments)
    payments.fault(target="payments", mode="error", for_s=0.5)
    failing_create(payments, order())
    eventually(lambda: len(payments.client.get("/faults").json()["faults"]) == 1)
    created(payments)


def test_faults_of_the_carrier_are_set_through_the_same_switchboard(payments, carrier):
    payments.fault(target="carrier", mode="error", status=502)
    assert carrier_call(carrier, "POST", "/v1/labels", booking()).status_code == 502
    created(payments)
    shown = payments.client.get("/faults").json()["faults"]
    assert [(fault["target"], fault["mode"], fault["status"]) for fault in shown] == [("carrier", "error", 502)]
    assert payments.client.delete("/faults").json() == {"cleared": 1}
    assert carrier_call(carrier, "POST", "/v1/labels", booking()).status_code == 201


def test_the_carrier_can_be_dropped_throttled_and_garbled(carrier):
    carrier.fault(target="carrier", mode="drop")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):  # reset, when it had not read the body yet
        carrier_call(carrier, "POST", "/v1/labels", booking())
    carrier.client.delete("/faults")
    carrier.fault(target="carrier", mode="throttle", retry_after_s=0.2)
    throttled = carrier_call(carrier, "POST", "/v1/labels", booking())
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "1")
    carrier.client.delete("/faults")
    carrier.fault(target="carrier", mode="garbage")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        carrier_call(carrier, "POST", "/v1/labels", booking()).json()


@pytest.mark.parametrize(
    ("described", "field"),
    [
        ([], ""),
        ({"mode": "error"}, "target"),
        ({"target": "post", "mode": "error"}, "target"),
        ({"target": "payments", "mode": "explode"}, "mode"),
        ({"target": "payments", "mode": "error", "rate": 1.5}, "rate"),
        ({"target": "payments", "mode": "error", "rate": True}, "rate"),
        ({"target": "payments", "mode": "error", "status": 200}, "status"),
        ({"target": "payments", "mode": "latency", "latency_ms": "2000"}, "latency_ms"),
        ({"target": "payments", "mode": "throttle", "retry_after_s": -1}, "retry_after_s"),
        ({"target": "payments", "mode": "error", "for_s": 0}, "for_s"),
        ({"target": "payments", "mode": "error", "speed": 1}, "speed"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(payments, described, field):
    answer = payments.client.post("/faults", json=described)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field
    assert payments.client.get("/faults").json() == {"faults": []}


def test_the_ledger_shows_both_providers(payments, carrier):
    order_id = order()
    captured(payments, order_id=order_id)
    label = carrier_call(carrier, "POST", "/v1/labels", booking(order_id=order_id), key=f"label-{order_id}").json()
    ledger = payments.client.get("/ledger").json()
    assert [entry["captured"] for entry in ledger["payments"] if entry["order"] == order_id] == ["25.80"]
    shown = next(entry for entry in ledger["labels"] if entry["order"] == order_id)
    assert (shown["id"], shown["shipment"]) == (label["id"], label["shipment"])
    assert shown["idempotency_key"] == f"label-{order_id}"


def test_a_fault_with_half_a_rate_hits_about_half_of_the_calls(payments):
    payments.fault(target="payments", mode="error", rate=0.5)
    headers = {"Authorization": "Bearer sk_test_12345"}
    statuses = [payments.client.get("/v1/refunds", headers=headers).status_code for _ in range(100)]
    # Outside of 20 to 80 falls one run in a billion.
    assert 20 <= statuses.count(503) <= 80
    assert set(statuses) == {200, 503}
