"""Each rule about money finds the violation that is meant for it, and nothing in a healthy database."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from outbox.invariants import verify
from outbox.publishing import unit_of_work
from payments import facade
from payments.models import PaymentOperation

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("M38")]


def broken() -> set[str]:
    return {verdict.name for verdict in verify() if verdict.violations and verdict.name.startswith("payments.")}


def sql(statement: str, **parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def payment(order_id=None):
    payment_id = uuid7()
    with unit_of_work():
        facade.record_intent(
            payment_id=payment_id,
            order_id=order_id or uuid7(),
            amount=Decimal("25.80"),
            currency="EUR",
            payment_method="pm_card_visa",
        )
    return payment_id


def booked(payment_id, kind: str, amount: str, reference: str = "") -> None:
    operation = PaymentOperation.objects.create(
        payment_id=payment_id, kind=kind, amount=Decimal(amount), key_number=1, idempotency_key=str(uuid4())
    )
    operation.succeed(reference or str(uuid4()), Decimal(amount))


def walk(payment_id, *statuses: str) -> None:
    for status in statuses:
        sql("UPDATE payments_payment SET status = %(status)s WHERE id = %(id)s", status=status, id=payment_id)


def test_a_healthy_payment_breaks_nothing():
    payment_id = payment()
    booked(payment_id, "authorise", "25.80")
    sql("UPDATE payments_payment SET authorised_amount = 25.80 WHERE id = %(id)s", id=payment_id)
    walk(payment_id, "authorising", "authorised")
    assert broken() == set()


def test_more_refunded_than_captured_is_found():
    payment_id = payment()
    booked(payment_id, "refund", "1.00")
    assert "payments.refunds_within_captures" in broken()


def test_amounts_that_are_not_the_sums_are_found():
    payment_id = payment()
    sql("UPDATE payments_payment SET authorised_amount = 5 WHERE id = %(id)s", id=payment_id)
    assert broken() == {"payments.amounts_are_sums"}


def test_a_status_that_contradicts_the_amounts_is_found():
    payment_id = payment()
    walk(payment_id, "authorising", "authorised", "captured")
    assert broken() == {"payments.status_fits_amounts"}


def test_two_live_payments_of_one_order_are_found():
    sql("DROP INDEX payments_one_live_per_order")
    order_id = uuid7()
    payment(order_id)
    payment(order_id)
    assert broken() == {"payments.one_live_per_order"}


def test_a_reference_booked_twice_is_found():
    sql("DROP INDEX payments_reference_booked_once")
    for _ in range(2):
        payment_id = payment()
        booked(payment_id, "void", "1.00", reference="pi_1")
    assert broken() == {"payments.reference_booked_once"}


def test_a_call_that_nobody_will_settle_is_found():
    payment_id = payment()
    operation = PaymentOperation.objects.create(
        payment_id=payment_id, kind="authorise", amount=Decimal(1), key_number=1, idempotency_key="k"
    )
    operation.begin()
    assert broken() == set()
    PaymentOperation.objects.update(called_at="2020-01-01T00:00:00Z")
    assert broken() == {"payments.calls_are_owned"}


def test_a_void_that_nobody_carries_through_is_found():
    payment_id = payment()
    sql("UPDATE payments_payment SET void_requested_at = '2020-01-01Z' WHERE id = %(id)s", id=payment_id)
    assert broken() == {"payments.voids_end"}


def test_a_status_without_its_history_is_found():
    payment_id = payment()
    sql("ALTER TABLE payments_payment DISABLE TRIGGER payments_payment_guard_status")
    walk(payment_id, "voided")
    assert broken() == {"payments.history_is_complete"}
