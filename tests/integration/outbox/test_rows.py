"""Rows are inserted by a statement that is built once, and read back as the ORM would have stored them."""

from decimal import Decimal
from uuid import uuid4

import pytest

from orders.models import Order
from outbox.errors import NoUnitOfWork
from outbox.publishing import unit_of_work
from outbox.rows import insert
from payments.models import Payment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M7")]


def payment(**changes) -> Payment:
    return Payment(order_id=uuid4(), amount=Decimal("12.90"), currency="EUR", payment_method="pm_card_visa", **changes)


def test_several_rows_are_one_statement_and_read_back_equal(statements):
    rows = [payment(), payment()]
    with unit_of_work():
        insert(rows)
    assert len(statements) == 1
    for row in rows:
        stored = Payment.objects.get(id=row.id)
        assert (stored.amount, stored.currency, stored.status) == (Decimal("12.900"), "EUR", "created")
        assert stored.created_at is not None, "the database filled in what has a default there"


def test_a_default_that_is_a_plain_value_stands_on_the_row_at_once():
    order = Order(total=1)
    assert order.reason_code != ""
    row = payment()
    with unit_of_work():
        insert([row])
    assert row.decline_code == ""
    assert row.captured_amount == Decimal(0)


def test_an_inserted_row_can_be_saved_again_as_an_update(statements):
    row = payment()
    with unit_of_work():
        insert([row])
        row.payment_method = "pm_other"
        row.save(update_fields=["payment_method"])
    assert Payment.objects.get(id=row.id).payment_method == "pm_other"
    assert Payment.objects.count() == 1


def test_nothing_is_inserted_outside_a_unit_of_work():
    with pytest.raises(NoUnitOfWork):
        insert([payment()])
