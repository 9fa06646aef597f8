"""Holding the amount: once, whatever happens on the way."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models.functions import Now

from outbox.errors import NoUnitOfWork
from outbox.models import Attempt, Delivery, Message
from outbox.outcomes import Permanent, Throttled, Transient
from outbox.publishing import unit_of_work
from payments import facade, services
from payments.commands import AuthorisePayment, ConfirmAuthorisation
from payments.errors import PaymentNotFound
from payments.gateways.base import IntentStatus
from payments.models import Payment, PaymentOperation

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    pytest.mark.requirement("M8"),
]


def test_an_intent_is_recorded_in_one_statement(new_case, provider, statements):
    new_case()
    written = [sql for sql in statements if "payments_" in sql]
    assert len(written) == 1
    assert written[0].startswith('INSERT INTO "payments_payment"')


def test_an_intent_is_recorded_inside_a_unit_of_work_only(case):
    with pytest.raises(NoUnitOfWork):
        facade.record_intent(
            payment_id=case.payment_id,
            order_id=case.order_id,
            amount=Decimal("1.00"),
            currency="EUR",
            payment_method="pm_card_visa",
        )


def test_the_amount_is_held_and_told(case, provider):
    case.authorise()
    assert case.view.status == "authorised"
    assert (case.view.authorised_amount, case.view.captured_amount) == (Decimal("25.80"), Decimal("0.00"))
    assert case.operations == [("authorise", "succeeded")]
    assert case.events == ["authorised"]
    assert case.event("authorised") == {
        "payment_id": str(case.payment_id),
        "order_id": str(case.order_id),
        "amount": "25.80",
        "currency": "EUR",
    }
    assert provider.only.status is IntentStatus.REQUIRES_CAPTURE


def test_amounts_are_told_with_the_digits_of_their_currency(new_case, provider):
    yen, dinar = new_case("500", "JPY"), new_case("1.250", "KWD")
    yen.authorise()
    dinar.authorise()
    assert yen.event("authorised")["amount"] == "500"
    assert dinar.event("authorised")["amount"] == "1.250"


def test_keys_are_made_of_the_payment_and_the_step(case, provider):
    case.authorise()
    assert provider.calls == [
        ("create_intent", f"{case.payment_id}:create"),
        ("confirm", f"{case.payment_id}:confirm:1"),
    ]


def test_a_refused_card_declines_the_payment_with_words_for_the_customer(new_case, provider):
    case = new_case(method="pm_declined")
    case.authorise()
    assert (case.view.status, case.view.decline_code) == ("declined", "insufficient_funds")
    assert case.operations == [("authorise", "failed")]
    assert case.events == ["declined"]
    assert case.event("declined")["reason"] == "The card has insufficient funds."


def test_a_repeated_request_is_answered_again_without_a_call(case, provider):
    case.authorise()
    calls = list(provider.calls)
    case.authorise()
    assert case.events == ["authorised", "authorised"]
    assert provider.calls == calls


def test_a_lost_answer_to_creating_is_repeated_under_its_key_and_makes_one_intent(case, provider):
    provider.lose_answer("create_intent", times=2)
    case.authorise()
    assert provider.count("create_intent") == 3
    assert len(provider.intents) == 1
    assert case.events == ["authorised"]


def test_a_lost_answer_to_confirming_is_looked_up_and_not_repeated(case, provider):
    provider.lose_answer("confirm")
    case.authorise()
    assert [name for name, _ in provider.calls] == ["create_intent", "confirm", "retrieve"]
    assert case.events == ["authorised"]


def test_a_lost_decline_is_found_by_looking(new_case, provider):
    case = new_case(method="pm_declined")
    provider.lose_answer("confirm")
    case.authorise()
    assert provider.count("confirm") == 1
    assert case.events == ["declined"]


def test_a_confirmation_that_never_got_through_is_sent_again_under_a_new_key(case, provider):
    provider.fail("confirm", Transient("a server error", unknown=True))
    case.authorise()
    keys = [key for name, key in provider.calls if name == "confirm"]
    assert keys == [f"{case.payment_id}:confirm:1", f"{case.payment_id}:confirm:2"]
    assert case.view.status == "authorised"


def test_an_unknown_outcome_is_a_state_of_its_own(case, provider):
    provider.lose_answer("confirm")
    provider.fail("retrieve", Transient("still away", unknown=True), times=9)
    case.authorise()
    assert case.operations == [("authorise", "unknown")]
    assert case.view.status == "authorising"


def test_attempts_that_are_used_up_leave_it_unknown_and_publish_nothing(case, provider):
    provider.fail("confirm", Permanent("no such field"))
    case.authorise()
    assert case.operations == [("authorise", "unknown")]
    assert case.events == []
    assert Delivery.objects.get(consumer="payments.confirm_authorisation").state == "dead"


def test_a_throttled_call_burns_no_attempt_and_is_made_again(case, provider):
    provider.fail("confirm", Throttled("slow down", retry_after=0.1))
    case.authorise()
    assert case.events == ["authorised"]
    assert Attempt.objects.get().kind == "throttled"


def test_after_a_crash_between_call_and_record_the_provider_is_asked_first(case, provider):
    case.authorise()
    with unit_of_work():
        plan = services.begin_confirmation(payment_id=case.payment_id)
    assert plan is None


def test_a_second_worker_that_takes_over_looks_before_it_confirms(new_case, provider):
    case = new_case()
    with unit_of_work():
        services.begin_authorisation(payment_id=case.payment_id)
    state = provider.create_intent(
        payment_id=case.payment_id,
        order_id=case.order_id,
        amount=case.row.total,
        payment_method="pm_card_visa",
        key="a",
    )
    with unit_of_work():
        services.record_intent(payment_id=case.payment_id, answer=state)
        first = services.begin_confirmation(payment_id=case.payment_id)
    with unit_of_work():
        again = services.begin_confirmation(payment_id=case.payment_id)
    assert (first.look_first, again.look_first) == (False, True)
    assert first.key == again.key
    case.work()


def test_past_the_life_of_its_key_an_intent_is_looked_for_before_it_is_created(case, provider):
    with unit_of_work():
        plan = services.begin_authorisation(payment_id=case.payment_id)
    assert plan.look_since is None
    PaymentOperation.objects.update(requested_at=Now() - timedelta(hours=21))
    with unit_of_work():
        old = services.begin_authorisation(payment_id=case.payment_id)
    assert old.look_since == case.row.created_at


def test_an_intent_found_past_the_life_of_its_key_is_used(case, provider):
    with unit_of_work():
        services.begin_authorisation(payment_id=case.payment_id)
    PaymentOperation.objects.update(requested_at=Now() - timedelta(hours=21))
    provider.create_intent(
        payment_id=case.payment_id,
        order_id=case.order_id,
        amount=case.row.total,
        payment_method="pm_card_visa",
        key="forgotten",
    )
    case.authorise()
    assert provider.count("create_intent") == 1
    assert case.events == ["authorised"]


def test_a_payment_that_needs_the_customer_says_so_and_is_looked_at_later(new_case, provider):
    case = new_case(method="pm_action")
    case.authorise()
    assert case.view.status == "requires_action"
    assert case.operations == [("authorise", "pending")]
    assert case.events == ["action_required"]
    poll = Delivery.objects.get(consumer="payments.synchronise")
    assert (poll.due_at - poll.enqueued_at).total_seconds() == pytest.approx(60, abs=1)


def test_a_poll_finds_what_no_callback_told(new_case, provider):
    case = new_case(method="pm_action")
    case.authorise()
    provider.change(status=IntentStatus.REQUIRES_CAPTURE)
    Delivery.objects.filter(consumer="payments.synchronise").update(state="ready", due_at=None)
    case.work()
    assert case.events == ["action_required", "authorised"]
    assert not Delivery.objects.filter(consumer="payments.synchronise").exists()


def test_polling_goes_on_while_the_customer_takes_time(new_case, provider):
    case = new_case(method="pm_action")
    case.authorise()
    Delivery.objects.filter(consumer="payments.synchronise").update(state="ready", due_at=None)
    case.work()
    assert case.events == ["action_required"]
    assert Delivery.objects.get(consumer="payments.synchronise").state == "scheduled"


def test_an_intent_over_another_amount_is_never_booked(case, provider):
    provider.before["confirm"] = lambda: provider.change(amount=case_amount)
    case_amount = case.row.total * 2
    case.authorise()
    assert case.events == []
    assert case.view.authorised_amount == 0
    assert "is over" in Attempt.objects.get().error


def test_a_payment_that_does_not_exist_is_named(case, provider):
    missing = case.order_id
    with unit_of_work(), pytest.raises(PaymentNotFound, match=str(missing)):
        services.begin_confirmation(payment_id=missing)


def test_messages_carry_no_payment_method(case, provider):
    case.authorise()
    assert not [m for m in Message.objects.all() if "pm_card" in str(m.payload)]


def test_commands_answer_in_the_same_conversation(case, provider):
    case.authorise()
    told = Message.objects.filter(aggregate_id=case.payment_id)
    assert len({message.correlation_id for message in told}) == 1
    assert [m.name.removeprefix("payments.") for m in told.order_by("id")] == [
        "authorise_payment",
        "confirm_authorisation",
        "payment_authorised",
    ]


@pytest.mark.requirement("M26")
@pytest.mark.parametrize("status", ["authorised", "captured", "refunded", "declined"])
def test_the_database_refuses_a_step_that_the_table_does_not_have(case, status):
    with pytest.raises(Exception, match="payment: there is no way from created to"):
        Payment.objects.filter(id=case.payment_id).update(status=status)


def test_commands_are_addressed_to_payments(case):
    for command in (AuthorisePayment, ConfirmAuthorisation):
        assert command(payment_id=case.payment_id, order_id=case.order_id).payment_id == case.payment_id
