"""Placing an order through the front door."""

import json
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from fulfillment import facade as fulfillment
from orders.models import Order, OrderLine, Product
from outbox.models import IdempotencyRecord, Message, Saga
from payments import facade as payments
from tests.shop import CUP, RARE, TEA, add_product, order_of


@pytest.mark.requirement("M1", "M2")
def test_an_order_is_answered_at_once_with_all_that_follows_it(shop):
    response = shop.place(order_of((TEA, 2), reference="A-1", metadata={"till": "3"}))
    order = response.json()

    assert response.status_code == 201
    assert response["Content-Type"] == "application/json"
    assert response["Location"] == order["links"]["self"] == f"http://testserver/api/v1/orders/{order['id']}"
    assert response["ETag"].startswith('"1-')
    assert UUID(response["X-Correlation-ID"])
    assert order["object"] == "order"
    assert (order["status"], order["payment_status"], order["fulfillment_status"]) == (
        "placed",
        "authorising",
        "reserved",
    )
    assert order["total"] == {"amount": "25.80", "currency": "EUR"}
    assert order["lines"] == [
        {
            "sku": TEA,
            "name": TEA.title(),
            "quantity": 2,
            "unit_price": {"amount": "12.90", "currency": "EUR"},
            "total": {"amount": "25.80", "currency": "EUR"},
            "tax_rate": "0.13",
        }
    ]
    assert (order["reference"], order["metadata"], order["version"]) == ("A-1", {"till": "3"}, 1)
    assert order["placed_at"].endswith("Z")
    assert order["progress"]["state"] == "in_progress"
    assert order["progress"]["awaiting"] == "payment authorisation"
    assert [(step["name"], step["status"]) for step in order["progress"]["steps"]][:3] == [
        ("reserve_stock", "done"),
        ("authorise_payment", "running"),
        ("allocate_stock", "pending"),
    ]


@pytest.mark.requirement("M2", "M3")
def test_order_stock_payment_saga_and_messages_are_there_when_the_answer_is(shop):
    order = Order.objects.get(id=UUID(shop.placed((TEA, 2), (CUP, 1))["id"][4:]))

    assert fulfillment.availability([TEA, CUP]) == {TEA: 998, CUP: 999}
    [payment] = payments.payments_of(order.id)
    assert (payment.id, payment.amount, payment.currency) == (order.payment_id, Decimal("42.30"), "EUR")
    assert Saga.objects.get(key=order.id).status == "running"
    messages = Message.objects.filter(correlation_id=order.correlation_id)
    assert {message.name for message in messages} == {"orders.order_placed", "payments.authorise_payment"}
    assert {message.actor for message in messages} == {f"customer:{shop.customer.public_id}"}
    assert IdempotencyRecord.objects.count() == 1


@pytest.mark.requirement("M1", "M7")
def test_placing_takes_at_most_twelve_statements(busy_shop, statements):
    busy_shop.placed((TEA, 1), (CUP, 2))
    statements.clear()
    busy_shop.placed((TEA, 1), (CUP, 2))
    counted = [sql for sql in statements if sql not in ("BEGIN", "COMMIT")]
    assert len(counted) <= 12, "\n".join(counted)


def test_the_first_representation_is_the_one_that_is_read_later(shop):
    placed = shop.placed()
    read = shop.get(f"orders/{placed['id']}").json()
    for name in set(placed) - {"progress"}:
        assert read[name] == placed[name], name
    for first, later in zip(placed["progress"].pop("steps"), read["progress"].pop("steps"), strict=True):
        assert {**first, "started_at": 0, "finished_at": 0} == {**later, "started_at": 0, "finished_at": 0}
    assert read["progress"] == placed["progress"]


def test_lines_and_prices_are_frozen(shop):
    placed = shop.placed()
    product = Product.objects.get(sku=TEA)
    product.name = "Renamed"
    product.save()
    product.prices.update(amount=Decimal("99.00"))
    assert shop.get(f"orders/{placed['id']}").json()["lines"] == placed["lines"]


def nothing_happened(available: int = 1_000) -> bool:
    return (
        not Order.objects.exists()
        and not OrderLine.objects.exists()
        and not Message.objects.exists()
        and not Saga.objects.exists()
        and not IdempotencyRecord.objects.exists()
        and fulfillment.availability([TEA])[TEA] == available
    )


def test_an_unknown_product_is_named_and_nothing_happens(shop):
    response = shop.place(order_of((TEA, 1), ("TEA-NOPE", 1)))
    assert response.status_code == 422
    assert response.json()["code"] == "unknown_sku"
    assert [error["pointer"] for error in response.json()["errors"]] == ["/lines/1/sku"]
    assert nothing_happened()


def test_a_product_that_is_not_sold_any_more_is_unknown(shop):
    Product.objects.filter(sku=TEA).update(active=False)
    assert shop.place().json()["code"] == "unknown_sku"


def test_a_product_without_a_price_in_the_currency_is_refused(shop):
    problem = shop.place(order_of(currency="USD")).json()
    assert problem["code"] == "validation_failed"
    assert problem["errors"] == [
        {"pointer": "/lines/0/sku", "code": "no_price", "detail": f"{TEA} has no price in USD."}
    ]


def test_a_currency_that_is_none_is_refused(shop):
    problem = shop.place(order_of(currency="ZZZ")).json()
    assert problem["errors"][0] | {"detail": ""} == {"pointer": "/currency", "code": "unknown_currency", "detail": ""}


def test_too_little_stock_is_told_with_what_is_there_and_nothing_happens(shop):
    response = shop.place(order_of((TEA, 1), (RARE, 3)))
    assert response.status_code == 409
    assert response.json()["code"] == "insufficient_stock"
    assert response.json()["shortages"] == [{"sku": RARE, "requested": 3, "available": 1}]
    assert nothing_happened()


@pytest.mark.requirement("M1")
def test_another_total_than_expected_is_told_and_nothing_happens(shop):
    response = shop.place(order_of(expected_total={"amount": "25.00", "currency": "EUR"}))
    assert response.status_code == 409
    assert response.json()["code"] == "total_changed"
    assert response.json()["total"] == {"amount": "25.80", "currency": "EUR"}
    assert nothing_happened()


def test_the_expected_total_is_accepted(shop):
    assert shop.place(order_of(expected_total={"amount": "25.80", "currency": "EUR"})).status_code == 201


def test_an_expected_total_in_another_currency_is_refused(shop):
    problem = shop.place(order_of(expected_total={"amount": "25.80", "currency": "USD"})).json()
    assert [error["code"] for error in problem["errors"]] == ["currency_mismatch"]


def test_a_product_has_one_line(shop):
    problem = shop.place(order_of((TEA, 1), (TEA, 2))).json()
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/lines/1/sku", "duplicate_sku")]


def test_a_total_above_the_limit_takes_the_way_through_review(shop, settings):
    settings.REVIEW_ABOVE = "25.79"
    placed = shop.placed()
    assert Order.objects.get(id=UUID(placed["id"][4:])).route == "review"


def test_an_order_of_a_hundred_lines_is_placed(shop):
    for number in range(100):
        add_product(f"BULK-{number}", "1.00", 5)
    order = shop.placed(*[(f"BULK-{number}", 1) for number in range(100)])
    assert (len(order["lines"]), order["total"]["amount"]) == (100, "100.00")


@pytest.mark.requirement("M20")
def test_the_correlation_id_of_the_caller_is_kept(shop):
    mine = str(uuid4())
    response = shop.place(x_correlation_id=mine)
    assert response["X-Correlation-ID"] == mine
    assert {str(message.correlation_id) for message in Message.objects.all()} == {mine}


def test_a_correlation_id_that_is_no_uuid_is_replaced(shop):
    response = shop.place(x_correlation_id='" onload=alert(1)')
    assert UUID(response["X-Correlation-ID"])


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "k" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(shop, key):
    response = shop.post("orders", order_of(), idempotency_key=key)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


def test_placing_needs_a_key(shop):
    response = shop.post("orders", order_of())
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"{}"])
def test_a_body_that_is_no_order_is_refused(shop, body):
    response = shop.post("orders", body, idempotency_key="k")
    assert response.status_code in (400, 422)
    assert nothing_happened()


def test_events_carry_no_address_and_no_card(shop):
    canary = {**order_of()["shipping_address"], "name": "Canary Person", "line1": "Canary Lane 1"}
    shop.placed(shipping_address=canary, reference="canary-reference", metadata={"note": "canary-note"})
    told = json.dumps([message.payload for message in Message.objects.all()]).lower()
    assert "canary" not in told
    assert "pm_card" not in told
