"""What the SDK says, in the engine's words."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from moneyed import Money

from outbox.outcomes import Permanent, Throttled, Transient
from payments.gateways.base import IntentStatus, RefundStatus
from payments.gateways.stripe import from_minor, intent_state, outcome_of, refund_state, to_minor
from payments.gateways.transport import NeverSent

pytestmark = pytest.mark.requirement("M10")


def intent(**changes):
    return {
        "id": "pi_1",
        "status": "requires_capture",
        "amount": 2580,
        "currency": "eur",
        "created": 1_700_000_000,
        "metadata": {},
    } | changes


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("25.80", "EUR", 2580), ("500", "JPY", 500), ("1.250", "KWD", 1250), ("5", "UGX", 500), ("0.01", "USD", 1)],
)
def test_amounts_are_counted_as_the_provider_counts_them(amount, currency, minor):
    assert to_minor(Money(amount, currency)) == minor
    assert from_minor(minor, currency) == Decimal(amount)


@given(st.integers(min_value=1, max_value=10**11), st.sampled_from(["EUR", "JPY", "KWD", "ISK"]))
def test_an_amount_survives_the_way_there_and_back(minor, currency):
    assert to_minor(Money(from_minor(minor, currency), currency)) == minor


def test_an_amount_that_cannot_be_charged_exactly_is_refused():
    with pytest.raises(ValueError, match="cannot be charged exactly"):
        to_minor(Money("0.005", "EUR"))


@pytest.mark.parametrize(
    ("error", "outcome", "unknown"),
    [
        (NeverSent("no route"), Transient, False),
        (stripe.APIConnectionError("timeout"), Transient, True),
        (stripe.APIError("garbage", http_status=200), Transient, True),
        (stripe.APIError("broken", http_status=503), Transient, True),
        (stripe.APIError("in use", http_status=409), Transient, False),
        (stripe.AuthenticationError("key", http_status=401), Transient, False),
        (stripe.IdempotencyError("other body", http_status=400), Permanent, None),
        (stripe.InvalidRequestError("no such field", "x", http_status=400), Permanent, None),
        (stripe.APIError("gone", http_status=410), Permanent, None),
    ],
    ids=lambda value: value if isinstance(value, bool) else getattr(value, "__name__", str(value)),
)
def test_errors_are_classified(error, outcome, unknown):
    judged = outcome_of(error)
    assert isinstance(judged, outcome)
    assert getattr(judged, "unknown", None) is unknown


@pytest.mark.requirement("M11")
@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), ("0.5", 0.5), ("soon", 2.0), (None, 2.0)])
def test_a_throttled_call_waits_as_long_as_the_provider_says(header, pause):
    headers = {} if header is None else {"retry-after": header}
    judged = outcome_of(stripe.RateLimitError("slow down", http_status=429, headers=headers))
    assert isinstance(judged, Throttled)
    assert judged.retry_after == pause


@pytest.mark.parametrize("status", list(IntentStatus), ids=str)
def test_every_status_of_an_intent_is_understood(status):
    wire = "requires_payment_method" if status is IntentStatus.FAILED else status.value
    assert intent_state(intent(status=wire)).status is status


def test_an_intent_is_read_with_its_amounts_and_our_own_id():
    payment_id = uuid4()
    state = intent_state(
        intent(status="succeeded", amount_received=2580, metadata={"payment": f"pay_{payment_id.hex}"})
    )
    assert state.amount == Money("25.80", "EUR")
    assert state.captured == Decimal("25.80")
    assert state.payment_id == payment_id
    assert state.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_money_taken_for_a_canceled_intent_is_seen():
    charge = {"captured": True, "status": "succeeded", "amount": 2580}
    assert intent_state(intent(status="canceled", latest_charge=charge)).captured == Decimal("25.80")


def test_a_held_amount_is_not_a_taken_one():
    charge = {"captured": False, "status": "succeeded", "amount": 2580}
    assert intent_state(intent(latest_charge=charge)).captured == 0


def test_metadata_that_others_wrote_is_no_id_of_ours():
    assert intent_state(intent(metadata={"payment": "pay_../../etc"})).payment_id is None


def test_a_refused_card_is_explained_to_the_customer():
    state = intent_state(
        intent(
            status="requires_payment_method",
            last_payment_error={"code": "card_declined", "decline_code": "insufficient_funds"},
        )
    )
    assert state.declined.reason == "The card has insufficient funds. Please use another card."


@pytest.mark.parametrize("decline_code", ["stolen_card", "lost_card", "fraudulent", "generic_decline"])
def test_a_decline_tells_a_thief_nothing(decline_code):
    state = intent_state(
        intent(
            status="requires_payment_method",
            last_payment_error={"code": "card_declined", "decline_code": decline_code},
        )
    )
    assert state.declined.reason.startswith("The card was declined by the bank that issued it.")


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        ("succeeded", RefundStatus.SUCCEEDED),
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
    ],
)
def test_every_status_of_a_refund_is_understood(wire, status):
    refund = {"id": "re_1", "status": wire, "amount": 100, "currency": "eur", "metadata": {}}
    assert refund_state(refund).status is status
