"""Operators look at payments; they do not change them by hand."""

from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import RequestFactory
from uuid_utils.compat import uuid7

from outbox.publishing import unit_of_work
from payments import facade
from payments.models import Payment, PaymentOperation, ProviderEvent
from payments.states import OperationKind

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("M27")]


@pytest.fixture
def operator(client):
    user = get_user_model().objects.create_superuser("operator", password="only-for-this-test")
    client.force_login(user)
    return client


@pytest.fixture
def payment() -> Payment:
    payment_id = uuid7()
    with unit_of_work():
        facade.record_intent(
            payment_id=payment_id,
            order_id=uuid7(),
            amount=Decimal("25.80"),
            currency="EUR",
            payment_method="pm_card_visa",
        )
    row = Payment.objects.get(id=payment_id)
    PaymentOperation.request(row, OperationKind.AUTHORISE)
    return row


@pytest.mark.parametrize("model", [Payment, ProviderEvent])
@pytest.mark.parametrize("verb", ["add", "change", "delete"])
def test_nobody_changes_rows_by_hand(model, verb):
    request = RequestFactory().get("/admin/")
    request.user = get_user_model()(is_superuser=True, is_staff=True, is_active=True)
    assert getattr(admin.site._registry[model], f"has_{verb}_permission")(request) is False
    assert admin.site._registry[model].has_view_permission(request) is True


def test_a_payment_is_shown_with_its_operations(operator, payment):
    listed = operator.get("/admin/payments/payment/")
    shown = operator.get(f"/admin/payments/payment/{payment.id}/change/")
    assert (listed.status_code, shown.status_code) == (200, 200)
    assert f"{payment.id}:confirm:1" in shown.content.decode()


def test_a_payment_is_found_by_its_order(operator, payment):
    page = operator.get(f"/admin/payments/payment/?q={payment.order_id}").content.decode()
    assert str(payment.id) in page
