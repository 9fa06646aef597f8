"""The payment sandbox is as strict as Stripe, seen through Stripe's own SDK."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import stripe

from tests.sandboxes.orders import authorised, captured, created, intent_params, order
from tests.sandboxes.processes import Sandbox


def refusal(call, *arguments, **named) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call(*arguments, **named)
    return caught.value


def raw_create(payments: Sandbox, key: str, **form: object) -> httpx.Response:
    headers = {"Authorization": "Bearer sk_test_12345", "Idempotency-Key": key}
    return payments.client.post("/v1/payment_intents", data={"amount": 100, "currency": "eur", **form}, headers=headers)


def test_a_payment_is_created_authorised_captured_and_refunded_and_the_ledger_says_so(payments):
    order_id = order()
    calls = payments.stripe().v1
    intent = created(payments, order_id=order_id)
    assert (intent.status, intent.amount_capturable) == ("requires_confirmation", 0)
    intent = calls.payment_intents.confirm(intent.id)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 2580, 0)
    intent = calls.payment_intents.capture(intent.id, options={"idempotency_key": f"capture-{order_id}"})
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("succeeded", 0, 2580)
    refund = calls.refunds.create({"payment_intent": intent.id, "amount": 580})
    assert (refund.status, refund.amount, refund.payment_intent) == ("succeeded", 580, intent.id)

    entry = payments.payment(intent.id)
    figures = {name: entry[name] for name in ("order", "amount", "currency", "authorised", "captured", "refunded")}
    money = {"amount": "25.80", "currency": "EUR", "authorised": "25.80", "captured": "25.80", "refunded": "5.80"}
    assert figures == {"order": order_id, **money}
    assert (entry["voided"], entry["status"]) == (False, "succeeded")
    assert [call["operation"] for call in entry["calls"]] == ["create", "confirm", "capture", "refund"]
    assert entry["calls"][2]["idempotency_key"] == f"capture-{order_id}"


def test_a_voided_payment_shows_its_authorisation_and_no_money(payments):
    intent = payments.stripe().v1.payment_intents.cancel(authorised(payments).id)
    entry = payments.payment(intent.id)
    assert (intent.status, intent.amount_capturable) == ("canceled", 0)
    assert (entry["authorised"], entry["captured"], entry["voided"]) == ("25.80", "0.00", True)


def test_amounts_in_the_ledger_have_the_currencys_own_decimals(payments):
    intent = payments.stripe().v1.payment_intents.create({"amount": 1200, "currency": "jpy"})
    assert payments.payment(intent.id)["amount"] == "1200"


@pytest.mark.parametrize(
    ("method", "decline_code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
def test_a_declined_card_is_refused_with_its_reason_and_nothing_is_authorised(payments, method, decline_code):
    intent = created(payments, method)
    error = refusal(payments.stripe().v1.payment_intents.confirm, intent.id)
    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code, error.json_body["error"]["decline_code"]) == (
        *(402, "card_declined"),
        decline_code,
    )
    after = payments.stripe().v1.payment_intents.retrieve(intent.id)
    assert (after.status, after.last_payment_error.decline_code) == ("requires_payment_method", decline_code)
    assert payments.payment(intent.id)["authorised"] == "0.00"


def test_a_card_that_asks_for_authentication_waits_for_the_customer(payments):
    intent = authorised(payments, "pm_card_authenticationRequired")
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert payments.payment(intent.id)["authorised"] == "0.00"


def test_captures_of_the_failing_card_are_refused_until_told_otherwise(payments):
    intent = authorised(payments, "pm_card_captureFails")
    capture = payments.stripe().v1.payment_intents.capture
    error = refusal(capture, intent.id)
    assert (type(error), error.http_status) == (stripe.CardError, 402)
    assert payments.payment(intent.id)["captured"] == "0.00"
    payments.client.delete("/capture_failures")
    try:
        assert capture(intent.id).status == "succeeded"
    finally:
        payments.client.post("/capture_failures")


def test_the_same_key_and_body_answer_what_was_answered_before(payments):
    key = uuid.uuid4().hex
    first, second = raw_create(payments, key), raw_create(payments, key)
    assert second.json() == first.json()
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    calls = payments.payment(first.json()["id"])["calls"]
    assert [(call["idempotency_key"], call["replayed"]) for call in calls] == [(key, False), (key, True)]


def test_the_same_key_with_another_body_is_refused(payments):
    key = uuid.uuid4().hex
    intents = payments.stripe().v1.payment_intents
    intents.create(intent_params(order_id="ord_1"), options={"idempotency_key": key})
    error = refusal(intents.create, intent_params(order_id="ord_2"), options={"idempotency_key": key})
    assert (type(error), error.http_status) == (stripe.IdempotencyError, 400)


def test_a_stored_decline_is_replayed(payments):
    key = uuid.uuid4().hex
    intent = created(payments, "pm_card_chargeDeclined")
    confirm = payments.stripe().v1.payment_intents.confirm
    errors = [refusal(confirm, intent.id, options={"idempotency_key": key}) for _ in range(2)]
    assert [error.http_status for error in errors] == [402, 402]
    assert payments.payment(intent.id)["calls"][-1]["replayed"] is True


def test_a_forgotten_key_makes_a_second_payment(payments):
    key = uuid.uuid4().hex
    first = raw_create(payments, key).json()["id"]
    assert payments.client.delete("/idempotency_keys").json()["forgotten"] >= 1
    assert raw_create(payments, key).json()["id"] != first


def test_thirty_racing_calls_with_one_key_make_one_payment(payments):
    key, order_id = uuid.uuid4().hex, order()
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: raw_create(payments, key, **{"metadata[order]": order_id}), range(30)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    entries = [entry for entry in payments.client.get("/ledger").json()["payments"] if entry["order"] == order_id]
    assert len(entries) == 1


def test_racing_captures_take_the_money_once(payments):
    intent = authorised(payments)

    def capture(_: int) -> str:
        try:
            return payments.stripe().v1.payment_intents.capture(intent.id).status
        except stripe.InvalidRequestError as error:
            return error.code

    with ThreadPoolExecutor(10) as pool:
        outcomes = sorted(pool.map(capture, range(10)))
    assert outcomes == ["payment_intent_unexpected_state"] * 9 + ["succeeded"]
    assert payments.payment(intent.id)["captured"] == "25.80"


def test_racing_refunds_never_exceed_what_was_captured(payments):
    intent = captured(payments)

    def refund(_: int) -> bool:
        try:
            payments.stripe().v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
        except stripe.InvalidRequestError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(refund, range(8))) == 2
    assert payments.payment(intent.id)["refunded"] == "20.00"


def test_what_localstripe_wrongly_allows_is_refused(payments):
    calls = payments.stripe().v1
    voided, held, paid = authorised(payments), authorised(payments), captured(payments)
    calls.payment_intents.cancel(voided.id)
    refusals = {
        "capture after cancel": refusal(calls.payment_intents.capture, voided.id),
        "second cancel": refusal(calls.payment_intents.cancel, voided.id),
        "second confirm": refusal(calls.payment_intents.confirm, held.id),
        "refund before capture": refusal(calls.refunds.create, {"payment_intent": held.id}),
        "second capture": refusal(calls.payment_intents.capture, paid.id),
        "cancel after capture": refusal(calls.payment_intents.cancel, paid.id),
        "over-refund": refusal(calls.refunds.create, {"payment_intent": paid.id, "amount": 2581}),
    }
    assert {name: error.http_status for name, error in refusals.items()} == dict.fromkeys(refusals, 400)
    calls.refunds.create({"payment_intent": paid.id})
    assert refusal(calls.refunds.create, {"payment_intent": paid.id}).code == "charge_already_refunded"
    assert payments.payment(voided.id)["captured"] == payments.payment(held.id)["refunded"] == "0.00"
    assert payments.payment(paid.id)["refunded"] == "25.80"


def test_bad_requests_are_told_what_is_wrong(payments):
    intents = payments.stripe().v1.payment_intents
    assert refusal(intents.retrieve, "pi_none").code == "resource_missing"
    assert refusal(intents.create, {"currency": "eur"}).param == "amount"
    assert refusal(intents.create, {"amount": -5, "currency": "eur"}).param == "amount"
    stranger = stripe.StripeClient("pk_test_12345", base_addresses={"api": payments.url}, max_network_retries=0)
    assert isinstance(refusal(stranger.v1.payment_intents.list), stripe.AuthenticationError)


def test_fields_that_localstripe_does_not_know_are_kept_by_the_front(payments):
    intents = payments.stripe().v1.payment_intents
    intent = intents.create(
        {**intent_params(), "description": "Two teas", "automatic_payment_methods": {"enabled": True}}
    )
    intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    after = intents.retrieve(intent.id)
    assert (after.description, after.cancellation_reason) == ("Two teas", "requested_by_customer")
    assert after.canceled_at >= after.created
    assert list(after.metadata.to_dict()) == ["order"]


def test_the_latest_charge_is_an_id_unless_expanded(payments):
    intent = authorised(payments)
    full = payments.stripe().v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert full.latest_charge.id == intent.latest_charge
    assert full.latest_charge.amount == 2580


def test_lists_are_newest_first_paged_and_bounded_by_creation(payments):
    made = [created(payments) for _ in range(5)]
    intents = payments.stripe().v1.payment_intents
    first = intents.list({"limit": 3, "created": {"gte": made[0].created}})
    assert [intent.id for intent in first.data] == [intent.id for intent in made[:1:-1]]
    rest = intents.list({"limit": 2, "starting_after": made[2].id})
    assert [intent.id for intent in rest.data] == [made[1].id, made[0].id]
    assert intents.list({"created": {"gt": made[-1].created + 10}}).data == []
    assert first.has_more


def test_refunds_are_listed_for_their_payment(payments):
    intent = captured(payments)
    refunds = payments.stripe().v1.refunds
    made = [refunds.create({"payment_intent": intent.id, "amount": amount}).id for amount in (100, 200)]
    assert [refund.id for refund in refunds.list({"payment_intent": intent.id}).data] == made[::-1]
    assert refunds.retrieve(made[0]).amount == 100
