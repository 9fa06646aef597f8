"""The same request with the same key takes effect once and is answered alike."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from orders.api_keys import issue_key
from orders.models import Order
from outbox import idempotency
from outbox.models import IdempotencyRecord
from outbox.publishing import unit_of_work
from tests.shop import TEA, Caller, order_of

pytestmark = pytest.mark.requirement("M2")


def test_a_repeated_request_is_answered_byte_for_byte(shop):
    first, again = shop.place(key="k"), shop.place(key="k")
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("Location", "ETag", "Content-Type"):
        assert again[name] == first[name]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Order.objects.count() == 1


def test_the_remembered_answer_is_the_first_one_whatever_happened_since(shop):
    first = shop.place(key="k")
    shop.post(f"orders/{first.json()['id']}/cancellation", {"reason": "No"})
    assert shop.place(key="k").content == first.content


@pytest.mark.parametrize("again", ['"k"', " k "])
def test_quotes_of_a_structured_field_do_not_make_another_key(shop, again):
    shop.place(key="k")
    assert shop.place(key=again)["Idempotent-Replayed"] == "true"


def test_members_in_another_order_are_the_same_body(shop):
    shop.place(order_of(), key="k")
    assert shop.place(dict(reversed(order_of().items())), key="k")["Idempotent-Replayed"] == "true"


def test_the_same_key_with_another_body_is_refused(shop):
    shop.place(key="k")
    response = shop.place(order_of((TEA, 3)), key="k")
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Order.objects.count() == 1


def test_another_body_is_refused_before_it_is_even_validated(shop):
    shop.place(key="k")
    assert shop.place({"nonsense": True}, key="k").json()["code"] == "idempotency_key_reused"


def test_a_refusal_leaves_the_key_free(shop):
    assert shop.place(order_of((TEA, 5_000)), key="k").status_code == 409
    assert shop.place(order_of((TEA, 1)), key="k").status_code == 201


def test_keys_of_different_customers_are_different(shop, stranger):
    shop.place(key="k")
    assert "Idempotent-Replayed" not in stranger.place(key="k")


def test_two_keys_of_one_customer_share_their_idempotency_keys(shop):
    with unit_of_work():
        colleague = Caller(shop.customer, issue_key(customer=shop.customer, name="Second"))
    shop.place(key="k")
    assert colleague.place(key="k")["Idempotent-Replayed"] == "true"


def test_the_same_key_on_another_path_is_another_key(shop):
    first, second = shop.placed(), shop.placed()
    for order in (first, second):
        answer = shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"}, idempotency_key="k")
        assert answer.json()["id"] == order["id"]
        assert "Idempotent-Replayed" not in answer
    again = shop.post(f"orders/{first['id']}/cancellation", {"reason": "No"}, idempotency_key="k")
    assert (again.json()["id"], again["Idempotent-Replayed"]) == (first["id"], "true")


def test_an_expired_key_may_be_used_again(shop):
    shop.place(key="k")
    IdempotencyRecord.objects.update(expires_at=Now() - timedelta(seconds=1))
    response = shop.place(order_of((TEA, 3)), key="k")
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response
    assert Order.objects.count() == 2
    assert IdempotencyRecord.objects.get().expires_at > timezone.now() + timedelta(hours=23)


def test_keys_live_24_hours_by_the_databases_clock(shop):
    shop.place(key="k")
    with connection.cursor() as cursor:
        cursor.execute("SELECT expires_at - created_at FROM outbox_idempotencyrecord")
        assert cursor.fetchone() == (timedelta(hours=24),)


@pytest.mark.requirement("M16")
def test_purging_removes_what_expired_and_nothing_else(shop):
    shop.place(key="old")
    IdempotencyRecord.objects.update(expires_at=Now() - timedelta(seconds=1))
    shop.place(key="new")
    with unit_of_work():
        assert idempotency.purge() == 1
    assert IdempotencyRecord.objects.get().key == "new"


def test_keys_that_differ_take_locks_that_differ():
    keys = {idempotency.Key(scope, text, "").lock for scope in ("a", "b") for text in ("1", "2", "3")}
    assert len(keys) == 6
    assert all(-(2**63) <= key < 2**63 for key in keys)
