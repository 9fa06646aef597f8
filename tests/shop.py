"""A small shop to test against: two customers, three products, and the API's front door."""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from fulfillment import facade as fulfillment
from orders.api_keys import issue_key
from orders.models import Customer, Product, ProductPrice, TaxClass
from outbox.publishing import unit_of_work

ADDRESS = {
    "name": "A. Reader",
    "line1": "1 Quay",
    "city": "Lisbon",
    "postal_code": "1100-148",
    "country": "PT",
}
TEA, CUP, RARE = "TEA-EARL-100", "CUP-PORC-250", "BOK-RARE-001"


def order_of(*lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
    """Return the body of an order; two packets of tea unless told otherwise."""
    return {
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines or [(TEA, 2)]],
        "shipping_address": ADDRESS,
        "payment_method": "pm_card_visa",
        **changes,
    }


@dataclass
class Caller:
    """A customer with a key, calling over HTTP."""

    customer: Customer
    key: str
    http: Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = Client(headers={"authorization": f"Bearer {self.key}"}, raise_request_exception=False)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.http.get(_url(path), headers=_headers(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.http.post(_url(path), content, content_type="application/json", headers=_headers(headers))

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.http.delete(_url(path), headers=_headers(headers))

    def place(self, body: Any = None, key: str | None = None, **headers: str) -> HttpResponse:
        return self.post("orders", body or order_of(), idempotency_key=key or str(uuid4()), **headers)

    def placed(self, *lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
        response = self.place(order_of(*lines, **changes))
        assert response.status_code == 201, response.content
        return response.json()


def _url(path: str) -> str:
    return path if path.startswith(("/", "http")) else f"/api/v1/{path}"


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def make_caller(name: str, **options: Any) -> Caller:
    """Create a customer with a key."""
    with unit_of_work():
        customer = Customer.objects.create(name=name)
        return Caller(customer, issue_key(customer=customer, name="Test", **options))


def add_product(sku: str, euros: str, stock: int, **changes: Any) -> Product:
    """Add a product with a price and stock in LIS."""
    tax_class, _ = TaxClass.objects.get_or_create(code="reduced", defaults={"name": "Food", "rate": Decimal("0.13")})
    product = Product.objects.create(
        **{"sku": sku, "name": sku.title(), "category": "Tea", "tax_class": tax_class, "weight_grams": 100, **changes}
    )
    ProductPrice.objects.create(product=product, currency="EUR", amount=Decimal(euros))
    with unit_of_work():
        fulfillment.define_warehouse(code="LIS", name="Lisbon", country="PT")
        fulfillment.set_stock(sku=sku, warehouse="LIS", on_hand=stock, reason="Test")
    return product


def fill_shop() -> None:
    """Add the three products."""
    add_product(TEA, "12.90", 1_000)
    add_product(CUP, "16.50", 1_000)
    add_product(RARE, "27.00", 1)


def delivered(shop: Caller, *lines: tuple[str, int]) -> UUID:
    """Place an order whose only parcel came a minute ago; return its id."""
    order_id = UUID(shop.placed(*lines)["id"].removeprefix("ord_"))
    parcel = {"order": order_id, "parcel": uuid4()}
    with connection.cursor() as cursor:
        for status in ("allocated", "consumed"):
            cursor.execute(
                "UPDATE fulfillment_reservation SET status = %(status)s WHERE order_id = %(order)s",
                {**parcel, "status": status},
            )
        cursor.execute(
            """INSERT INTO fulfillment_shipment (id, order_id, warehouse_id, weight_grams, status, handed_over_at)
            VALUES (%(parcel)s, %(order)s, 'LIS', 1, 'planned', now())""",
            parcel,
        )
        for status in ("label_pending", "ready", "handed_over", "delivered"):
            cursor.execute(
                "UPDATE fulfillment_shipment SET status = %(status)s, delivered_at = now() - interval '1 minute' "
                "WHERE id = %(parcel)s",
                {**parcel, "status": status},
            )
    return order_id


@pytest.fixture
def shop(db) -> Caller:
    """A customer in front of a filled shop."""
    fill_shop()
    return make_caller("Quay & Sons")


@pytest.fixture
def stranger(db) -> Caller:
    """Another customer."""
    return make_caller("Somebody else")


@pytest.fixture
def busy_shop(transactional_db) -> Caller:
    """The same with real transactions, for threads."""
    fill_shop()
    return make_caller("Quay & Sons")
