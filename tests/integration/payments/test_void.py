"""Making sure that no money is held or taken, at whatever moment it is asked."""

from decimal import Decimal

import pytest

from outbox.models import Delivery
from outbox.outcomes import Permanent, Transient
from outbox.publishing import unit_of_work
from payments import services
from payments.commands import AuthorisePayment, ConfirmAuthorisation, SynchronisePayment, VoidPayment
from payments.gateways.base import IntentStatus
from payments.models import PaymentOperation

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M25"),
]


def begun(case, provider):
    """Register the intent as far as a confirmation that is under way."""
    with unit_of_work():
        plan = services.begin_authorisation(payment_id=case.payment_id)
    state = provider.create_intent(
        payment_id=plan.payment_id,
        order_id=plan.order_id,
        amount=plan.amount,
        payment_method=plan.payment_method,
        key=plan.key,
    )
    with unit_of_work():
        services.record_intent(payment_id=case.payment_id, answer=state)
    Delivery.objects.all().delete()
    with unit_of_work():
        return services.begin_confirmation(payment_id=case.payment_id)


def test_what_was_never_begun_is_voided_at_once(case, provider):
    case.void("The customer changed their mind.")
    assert case.view.status == "voided"
    assert case.events == ["voided"]
    assert case.event("voided")["reason"] == "The customer changed their mind."
    assert provider.calls == []


def test_what_is_held_is_released_by_its_id(case, provider):
    case.authorise()
    case.void()
    assert case.view.status == "voided"
    assert case.operations == [("authorise", "succeeded"), ("void", "succeeded")]
    assert case.events == ["authorised", "voided"]
    assert provider.only.status is IntentStatus.CANCELED
    assert provider.calls[-1] == ("cancel", f"{case.payment_id}:void:1")


def test_what_was_taken_is_refunded_in_full(case, provider):
    case.authorise()
    case.capture()
    case.void()
    assert case.view.status == "refunded"
    assert case.events == ["authorised", "captured", "refunded", "voided"]
    assert provider.kept == 0


def test_only_what_is_left_is_refunded(case, provider):
    case.authorise()
    case.capture()
    case.refund("5.80")
    case.void()
    assert case.event("refunded")["amount"] == "20.00"
    assert (case.view.refunded_amount, provider.kept) == (Decimal("25.80"), Decimal(0))
    assert case.events[-1] == "voided"


def test_a_declined_payment_is_void_already(new_case, provider):
    case = new_case(method="pm_declined")
    case.authorise()
    case.void()
    assert (case.view.status, case.events) == ("declined", ["declined", "voided"])


def test_a_payment_that_waits_for_the_customer_is_released(new_case, provider):
    case = new_case(method="pm_action")
    case.authorise()
    case.void()
    assert case.operations == [("authorise", "failed"), ("void", "succeeded")]
    assert case.events == ["action_required", "voided"]


def test_a_repeated_void_is_answered_again_and_looks_once_more(case, provider):
    case.authorise()
    case.void()
    case.void()
    assert case.events == ["authorised", "voided", "voided"]
    assert provider.count("cancel") == 1
    assert case.view.status == "voided"


def test_an_unknown_authorisation_is_looked_up_before_it_is_released(case, provider):
    provider.lose_answer("confirm")
    provider.fail("retrieve", Permanent("away for this test"))
    case.authorise()
    assert case.operations == [("authorise", "unknown")]
    provider.calls.clear()
    case.void()
    assert [name for name, _ in provider.calls] == ["retrieve", "cancel"]
    assert case.view.status == "voided"
    assert case.events == ["voided"]


def test_a_void_waits_for_the_confirmation_under_way_and_then_releases(case, provider):
    plan = begun(case, provider)
    case.say(VoidPayment(payment_id=case.payment_id, order_id=case.order_id, reason="Too late."))
    case.drain(until=lambda: Delivery.objects.filter(consumer="payments.void_payment", state="scheduled").exists())
    assert case.row.is_void_requested
    assert provider.count("cancel") == 0
    answer = provider.confirm(plan.reference, key=plan.key)
    with unit_of_work():
        services.record_confirmation(payment_id=case.payment_id, answer=answer)
    case.work()
    assert case.events == ["voided"]
    assert provider.only.status is IntentStatus.CANCELED


def test_a_confirmation_whose_worker_died_does_not_hold_the_void_up_for_ever(case, provider):
    plan = begun(case, provider)
    provider.confirm(plan.reference, key=plan.key)
    PaymentOperation.objects.update(called_at="2020-01-01T00:00:00Z")
    case.void()
    assert case.events == ["voided"]
    assert provider.only.status is IntentStatus.CANCELED


def test_no_confirmation_starts_after_a_void(case, provider):
    begun(case, provider)
    with unit_of_work():
        services.begin_void(payment_id=case.payment_id, reason="Cancelled.")
    case.say(ConfirmAuthorisation(payment_id=case.payment_id, order_id=case.order_id))
    case.work()
    assert provider.count("confirm") == 0
    assert case.events == ["voided"]
    assert provider.only.status is IntentStatus.CANCELED


def test_a_void_that_overtakes_its_authorisation_wins(case, provider):
    case.void()
    case.say(AuthorisePayment(payment_id=case.payment_id, order_id=case.order_id))
    case.work()
    assert provider.calls == []
    assert case.view.status == "voided"


def test_an_intent_that_appears_after_the_void_is_cancelled(case, provider):
    with unit_of_work():
        plan = services.begin_authorisation(payment_id=case.payment_id)
    case.void()
    assert case.events == ["voided"]
    state = provider.create_intent(
        payment_id=plan.payment_id,
        order_id=plan.order_id,
        amount=plan.amount,
        payment_method=plan.payment_method,
        key=plan.key,
    )
    with unit_of_work():
        services.record_intent(payment_id=case.payment_id, answer=state)
    case.work()
    assert provider.only.status is IntentStatus.CANCELED
    assert (provider.count("confirm"), case.view.status) == (0, "voided")


def test_a_lost_answer_to_the_release_is_looked_up(case, provider):
    case.authorise()
    provider.lose_answer("cancel")
    case.void()
    assert provider.count("cancel") == 1
    assert case.events == ["authorised", "voided"]


def test_a_capture_that_won_the_race_is_refunded(case, provider):
    case.authorise()
    provider.before["cancel"] = lambda: provider.change(status=IntentStatus.SUCCEEDED, captured=Decimal("25.80"))
    case.void()
    assert case.view.status == "refunded"
    assert case.events == ["authorised", "refunded", "voided"]
    assert ("void", "failed") in case.operations
    assert provider.kept == 0


@pytest.mark.requirement("M37")
def test_money_taken_after_the_release_is_given_back(case, provider):
    case.authorise()
    case.void()
    provider.change(status=IntentStatus.CANCELED, captured=Decimal("25.80"))
    case.say(SynchronisePayment(payment_id=case.payment_id, order_id=case.order_id))
    case.work()
    assert case.view.status == "refunded"
    assert provider.kept == 0
    assert case.events == ["authorised", "voided", "refunded", "voided"]


def test_money_taken_for_a_payment_that_was_voided_before_it_began_is_given_back(case, provider):
    plan = begun(case, provider)
    provider.confirm(plan.reference, key=plan.key)
    PaymentOperation.objects.update(called_at="2020-01-01T00:00:00Z")
    case.void()
    provider.change(status=IntentStatus.SUCCEEDED, captured=Decimal("25.80"))
    case.say(SynchronisePayment(payment_id=case.payment_id, order_id=case.order_id))
    case.work()
    assert (case.view.status, provider.kept) == ("refunded", Decimal(0))


def test_an_old_observation_of_held_money_does_not_revive_a_voided_payment(case, provider):
    case.authorise()
    held = provider.only
    case.void()
    with unit_of_work():
        services.record_synchronisation(payment_id=case.payment_id, intent=held, refunds={}, poll=False)
    case.work()
    assert case.view.status == "voided"
    assert (provider.count("cancel"), provider.only.status) == (1, IntentStatus.CANCELED)


def test_money_held_again_after_the_release_is_released_again(case, provider):
    case.authorise()
    case.void()
    provider.change(status=IntentStatus.REQUIRES_CAPTURE)
    case.say(SynchronisePayment(payment_id=case.payment_id, order_id=case.order_id))
    case.work()
    assert provider.only.status is IntentStatus.CANCELED
    assert case.operations[-1] == ("void", "failed")
    assert case.view.status == "voided"


def test_a_failed_refund_is_tried_anew_by_the_next_void(case, provider):
    case.authorise()
    case.capture()
    provider.refund_status = provider.refund_status.FAILED
    case.void()
    assert case.events[-1] == "refund_failed"
    provider.refund_status = provider.refund_status.SUCCEEDED
    case.void()
    assert case.events[-2:] == ["refunded", "voided"]
    assert provider.kept == 0


def test_a_void_survives_an_outage(case, provider):
    case.authorise()
    provider.fail("cancel", Transient("cannot be reached"), times=2)
    case.void()
    assert case.events == ["authorised", "voided"]
