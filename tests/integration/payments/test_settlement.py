"""Our own answers and the provider's callbacks tell of one payment, in any order, any number of times."""

import itertools
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection

from outbox.outcomes import Permanent
from outbox.publishing import unit_of_work
from payments import services
from payments.gateways.base import IntentStatus
from payments.models import Payment

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M8"),
]


def tell(case, *states) -> None:
    for state in states:
        with unit_of_work():
            services.record_synchronisation(payment_id=case.payment_id, intent=state, refunds={}, poll=False)


@pytest.fixture
def story(case, provider):
    """The states that the provider has been through, up to the capture."""
    states = []
    provider.before["confirm"] = lambda: states.append(provider.only)
    case.authorise()
    states.append(provider.only)
    case.capture()
    states.append(provider.only)
    return states


def test_old_news_changes_nothing(case, story):
    before = (case.view, case.events)
    for order in itertools.permutations(story):
        tell(case, *order)
    assert (case.view, case.events) == before


def test_news_that_overtook_our_own_answer_is_booked_once(case, provider):
    provider.lose_answer("confirm")
    held = []
    provider.before["retrieve"] = lambda: held.append(provider.only) or tell(case, provider.only)
    case.authorise()
    assert held[0].status is IntentStatus.REQUIRES_CAPTURE
    assert case.events == ["authorised"]
    assert case.operations == [("authorise", "succeeded")]


def test_a_capture_told_before_the_authorisation_books_both_in_order(case, provider):
    with unit_of_work():
        plan = services.begin_authorisation(payment_id=case.payment_id)
    state = provider.create_intent(
        payment_id=plan.payment_id,
        order_id=plan.order_id,
        amount=plan.amount,
        payment_method=plan.payment_method,
        key=plan.key,
    )
    tell(case, replace(state, status=IntentStatus.SUCCEEDED, captured=Decimal("25.80")))
    assert case.events == ["authorised", "captured"]
    assert case.view.status == "captured"


def test_a_part_taken_is_a_part_captured(case, provider):
    case.authorise()
    tell(case, provider.change(status=IntentStatus.SUCCEEDED, captured=Decimal("20.00")))
    assert case.view.status == "partially_captured"
    assert case.event("captured")["amount"] == "20.00"


def test_an_intent_cancelled_elsewhere_is_a_decline_before_it_is_held(case, provider):
    provider.fail("confirm", Permanent("stop here"))
    case.authorise()
    tell(case, provider.change(status=IntentStatus.CANCELED))
    assert (case.view.status, case.events) == ("declined", ["declined"])


def test_an_intent_cancelled_elsewhere_expires_what_was_held_and_that_is_told_once(case, provider):
    case.authorise()
    for _ in range(2):
        tell(case, provider.change(status=IntentStatus.CANCELED))
    assert (case.view.status, case.events) == ("expired", ["authorised", "expired"])
    assert case.event("expired")["code"] == "authorisation_expired"


def test_another_payments_intent_is_not_booked(case, new_case, provider):
    case.authorise()
    stranger = new_case()
    with pytest.raises(Permanent, match="not for"):
        tell(stranger, provider.only)
    with pytest.raises(Permanent, match="The intent of payment"):
        tell(case, replace(provider.only, reference="pi_other"))


@pytest.mark.requirement("M6")
def test_many_tellers_at_once_book_once(case, provider):
    case.authorise()
    taken = provider.change(status=IntentStatus.SUCCEEDED, captured=Decimal("25.80"))
    barrier = threading.Barrier(10)

    def teller() -> None:
        barrier.wait()
        try:
            tell(case, taken)
        finally:
            connection.close()

    threads = [threading.Thread(target=teller) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert case.events == ["authorised", "captured"]
    assert case.view.captured_amount == Decimal("25.80")


def test_the_database_refuses_more_captured_than_authorised(case):
    with pytest.raises(Exception, match="payments_captured_within_authorised"):
        Payment.objects.filter(id=case.payment_id).update(captured_amount=Decimal(1))


def test_the_database_refuses_a_second_live_payment_of_an_order(case):
    with pytest.raises(Exception, match="payments_one_live_per_order"):
        Payment.objects.create(order_id=case.order_id, amount=Decimal(1), currency="EUR", payment_method="pm_card_visa")
