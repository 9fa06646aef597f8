"""Giving back: never more than was taken, never twice."""

import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from outbox.models import Attempt, Delivery
from outbox.outcomes import NotDone, Transient
from outbox.publishing import unit_of_work
from payments import services
from payments.commands import SynchronisePayment
from payments.gateways.base import RefundStatus
from payments.models import PaymentOperation
from payments.services import RefundPlan

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M8"),
]


@pytest.fixture
def taken(case, provider):
    case.authorise()
    case.capture()
    return case


def test_a_part_is_given_back_and_told(taken, provider):
    refund_id = taken.refund("5.80")
    assert taken.view.status == "partially_refunded"
    assert taken.view.refunded_amount == Decimal("5.80")
    assert taken.event("refunded")["refund_id"] == str(refund_id)
    assert taken.event("refunded")["amount"] == "5.80"
    assert provider.calls[-1] == ("refund", f"{refund_id}:refund")


def test_all_of_it_in_parts_ends_in_refunded(taken, provider):
    taken.refund("5.80")
    taken.refund("10.00")
    taken.refund("10.00")
    assert (taken.view.status, provider.kept) == ("refunded", Decimal(0))


@pytest.mark.parametrize("amount", ["25.81", "0.00", "-1.00"])
def test_more_than_was_taken_or_nothing_is_refused(taken, provider, amount):
    taken.refund(amount)
    assert provider.count("refund") == 0
    assert "cannot be refunded: 25.80 EUR" in Attempt.objects.get().error
    assert Delivery.objects.get(consumer="payments.refund_payment").state == "dead"


def test_another_currency_is_refused(taken, provider):
    taken.refund("1.00", currency="USD")
    assert provider.count("refund") == 0


def test_a_repeated_refund_is_answered_again_without_a_call(taken, provider):
    refund_id = taken.refund("5.80")
    taken.refund("5.80", refund_id=refund_id)
    assert provider.count("refund") == 1
    assert taken.events == ["authorised", "captured", "refunded", "refunded"]
    assert taken.view.refunded_amount == Decimal("5.80")


def test_a_lost_answer_is_found_in_the_providers_list(taken, provider):
    provider.lose_answer("refund")
    taken.refund("5.80")
    assert (provider.count("refund"), provider.count("find_refund")) == (1, 1)
    assert provider.kept == Decimal("20.00")


def test_a_refund_that_never_got_through_is_sent_again_under_the_same_key(taken, provider):
    provider.fail("refund", Transient("a server error", unknown=True))
    refund_id = taken.refund("5.80")
    assert [key for name, key in provider.calls if name == "refund"] == [f"{refund_id}:refund"] * 2
    assert provider.kept == Decimal("20.00")


def test_past_the_life_of_its_key_a_refund_is_not_sent_again(taken, provider):
    provider.fail("refund", Transient("a server error", unknown=True), times=9)
    refund_id = taken.refund("5.80")
    PaymentOperation.objects.filter(id=refund_id).update(requested_at=Now() - timedelta(hours=21))
    provider.calls.clear()
    Delivery.objects.update(state="ready", attempts=0, died_at=None)
    taken.work()
    assert [name for name, _ in provider.calls] == ["find_refund"]
    assert "too old to send it again safely" in Delivery.objects.get().last_error


def test_a_refused_refund_frees_its_amount(taken, provider):
    provider.refund_status = RefundStatus.FAILED
    taken.refund("25.80")
    assert taken.events[-1] == "refund_failed"
    assert taken.view.status == "captured"
    provider.refund_status = RefundStatus.SUCCEEDED
    taken.refund("25.80")
    assert taken.view.status == "refunded"


def test_a_pending_refund_reserves_its_amount_and_is_settled_by_a_poll(taken, provider):
    provider.refund_status = RefundStatus.PENDING
    refund_id = taken.refund("20.00")
    assert taken.operations[-1] == ("refund", "pending")
    taken.refund("10.00")
    assert "5.80 EUR" in Attempt.objects.get().error
    reference, state = next(iter(provider.refunds.values()))
    done = type(state)(state.reference, RefundStatus.SUCCEEDED, state.amount, refund_id, "")
    provider.refunds[state.reference] = (reference, done)
    taken.say(SynchronisePayment(payment_id=taken.payment_id, order_id=taken.order_id))
    taken.work()
    assert taken.view.refunded_amount == Decimal("20.00")


@pytest.mark.requirement("M6")
def test_refunds_that_race_never_exceed_what_was_taken(taken):
    barrier, reserved = threading.Barrier(8), []

    def race() -> None:
        barrier.wait()
        try:
            with unit_of_work():
                reserved.append(
                    services.begin_refund(
                        refund_id=uuid7(),
                        payment_id=taken.payment_id,
                        amount=Decimal("10.00"),
                        currency="EUR",
                        reason="race",
                    )
                )
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(type(answer) for answer in reserved) == {RefundPlan: 2, NotDone: 6}
    assert taken.row.refundable() == Decimal("5.80")
    PaymentOperation.objects.filter(kind="refund").delete()
