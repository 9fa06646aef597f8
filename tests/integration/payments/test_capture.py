"""Taking what is held: the whole amount, once."""

from decimal import Decimal

import pytest

from outbox.outcomes import Transient
from outbox.publishing import unit_of_work
from payments import services
from payments.gateways.base import IntentStatus

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M8"),
]


@pytest.fixture
def held(case, provider):
    case.authorise()
    return case


def test_the_whole_amount_is_taken_and_told(held, provider):
    held.capture()
    assert held.view.status == "captured"
    assert held.view.captured_amount == Decimal("25.80")
    assert held.events == ["authorised", "captured"]
    assert held.event("captured")["amount"] == "25.80"
    assert provider.kept == Decimal("25.80")


def test_a_second_capture_is_answered_without_a_call(held, provider):
    held.capture()
    held.capture()
    assert provider.count("capture") == 1
    assert held.events == ["authorised", "captured", "captured"]


def test_a_lost_answer_is_looked_up_and_not_repeated(held, provider):
    provider.lose_answer("capture")
    held.capture()
    assert provider.count("capture") == 1
    assert held.events == ["authorised", "captured"]


def test_an_error_before_anything_was_done_is_tried_again(held, provider):
    provider.fail("capture", Transient("a server error", unknown=True), times=2)
    held.capture()
    assert held.view.captured_amount == Decimal("25.80")
    assert len({key for name, key in provider.calls if name == "capture"}) == 3


def test_a_refused_capture_is_told_and_a_new_request_tries_again(held, provider):
    provider.refuse_capture = 1
    held.capture()
    assert held.view.status == "authorised"
    assert held.events == ["authorised", "capture_failed"]
    assert held.event("capture_failed")["code"] == "insufficient_funds"
    held.capture()
    assert held.view.status == "captured"
    assert held.operations == [("authorise", "succeeded"), ("capture", "failed"), ("capture", "succeeded")]
    assert [key for name, key in provider.calls if name == "capture"] == [
        f"{held.payment_id}:capture:1",
        f"{held.payment_id}:capture:2",
    ]


def test_nothing_is_taken_that_is_not_held(case, provider):
    case.capture()
    assert case.events == ["capture_failed"]
    assert case.event("capture_failed")["code"] == "not_authorised"
    assert provider.calls == []


def test_nothing_is_taken_from_a_payment_being_voided(held, provider):
    with unit_of_work():
        services.begin_void(payment_id=held.payment_id, reason="The order was cancelled.")
    held.capture()
    assert held.event("capture_failed")["code"] == "payment_voided"
    assert provider.count("capture") == 0


def test_an_authorisation_that_ran_out_fails_the_capture(held, provider):
    provider.change(status=IntentStatus.CANCELED)
    held.capture()
    assert held.view.status == "expired"
    assert held.events == ["authorised", "capture_failed", "expired"]
    assert held.event("capture_failed")["code"] == "authorisation_expired"
