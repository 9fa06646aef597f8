"""Payments and bookings as an order needs them."""

import uuid

import httpx
import stripe

from tests.sandboxes.processes import CARRIER_KEY, Sandbox


def order() -> str:
    return f"ord_{uuid.uuid4().hex}"


def intent_params(payment_method: str = "pm_card_visa", *, amount: int = 2580, order_id: str | None = None) -> dict:
    return {
        "amount": amount,
        "currency": "eur",
        "payment_method": payment_method,
        "capture_method": "manual",
        "metadata": {"order": order_id or order()},
    }


def created(sandbox: Sandbox, payment_method: str = "pm_card_visa", **more: object) -> stripe.PaymentIntent:
    return sandbox.stripe().v1.payment_intents.create(intent_params(payment_method, **more))


def authorised(sandbox: Sandbox, payment_method: str = "pm_card_visa", **more: object) -> stripe.PaymentIntent:
    return sandbox.stripe().v1.payment_intents.confirm(created(sandbox, payment_method, **more).id)


def captured(sandbox: Sandbox, **more: object) -> stripe.PaymentIntent:
    return sandbox.stripe().v1.payment_intents.capture(authorised(sandbox, **more).id)


def booking(*, postal_code: str = "1100-148", order_id: str | None = None) -> dict:
    return {
        "shipment": f"shp_{uuid.uuid4().hex}",
        "order": order_id or order(),
        "warehouse": "LIS",
        "recipient": {"name": "A. Reader", "line1": "1 Quay", "city": "Lisbon", "postal_code": postal_code},
        "parcels": [{"weight_grams": 200}],
    }


def carrier_call(
    sandbox: Sandbox, method: str, path: str, document: object = None, *, key: str | None = None
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {CARRIER_KEY}"} | ({"Idempotency-Key": key} if key else {})
    return sandbox.client.request(method, path, json=document, headers=headers)
