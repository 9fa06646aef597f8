"""Customers who order, cancel, and repeat a request until it is answered."""

import random
import threading
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx

from tests.journeys.conftest import SETTLED, System
from tests.runtime.waiting import eventually

ADDRESS = {"name": "A. Reader", "line1": "1 Quay", "city": "Lisbon", "postal_code": "1100-148", "country": "PT"}


def basket(lines: dict[str, int], payment_method: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    """Return the body of an order."""
    return {
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
        "shipping_address": ADDRESS,
        "payment_method": payment_method,
        **more,
    }


def persistently(call: Any, seconds: float = 60) -> httpx.Response:
    """Repeat a request with the same key until the site answers it for good."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer: httpx.Response = call()
        except httpx.HTTPError:
            answer = httpx.Response(599)
        retry = answer.status_code >= 500 or answer.json().get("code") == "idempotency_in_progress"
        if not retry or time.monotonic() > end:
            return answer
        time.sleep(0.2)


class Crowd:
    """Customers who place orders at once, some with bad cards, some who change their mind."""

    def __init__(self, system: System, count: int, clients: int, seed: int) -> None:
        self.system = system
        self._name = f"crowd-{uuid4()}"
        self.placed: dict[str, int] = {}
        self.refused: list[httpx.Response] = []
        self._random = random.Random(seed)
        self._numbers = iter(range(count))
        self._lock = threading.Lock()
        with system.customer() as customer:
            products = customer.get("/api/v1/products?limit=100").json()["data"]
        self._skus = [product["sku"] for product in products if product["availability"]["quantity"] > 1_000][:20]
        self._threads = [threading.Thread(target=self._order) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _order(self) -> None:
        with self.system.customer() as customer:
            while True:
                with self._lock:
                    number = next(self._numbers, None)
                    chosen = {sku: self._random.randint(1, 2) for sku in self._random.sample(self._skus, 2)}
                    patience = self._random.random() * 3
                if number is None:
                    return
                self._place(customer, number, chosen, patience)

    def _place(self, customer: httpx.Client, number: int, chosen: dict[str, int], patience: float) -> None:
        card = "pm_card_chargeDeclined" if number % 10 == 0 else "pm_card_visa"
        key = {"Idempotency-Key": f"{self._name}-{number}"}
        body = basket(chosen, card, reference=f"crowd-{number}")
        answer = persistently(lambda: customer.post("/api/v1/orders", json=body, headers=key))
        if answer.status_code != 201:
            self.refused.append(answer)
            return
        order_id = answer.json()["id"]
        self.placed[order_id] = number
        if number % 10 == 5:
            time.sleep(patience)
            reason = {"reason": "I changed my mind"}
            persistently(lambda: customer.post(f"/api/v1/orders/{order_id}/cancellation", json=reason))


def await_final(system: System, ids: list[str], seconds: float) -> dict[str, dict[str, Any]]:
    """Return the orders when all of them have ended."""
    found: dict[str, dict[str, Any]] = {}

    def ended() -> bool:
        for order_id in ids:
            if found.get(order_id, {}).get("status") not in SETTLED:
                found[order_id] = persistently(lambda path=f"/api/v1/orders/{order_id}": customer.get(path)).json()
        return {order["status"] for order in found.values()} <= SETTLED

    with system.customer() as customer:
        try:
            eventually(ended, seconds)
        except AssertionError:
            open_orders = [order for order in found.values() if order["status"] not in SETTLED]
            log = (system.home / "log" / "cluster.log").read_text()[-5000:]
            raise AssertionError(f"{len(open_orders)} orders are not final, such as {open_orders[0]}; {log}") from None
    return found


def disagreements(system: System, orders: dict[str, dict[str, Any]]) -> list[str]:
    """Compare the orders with what the provider and the carrier believe; return every difference."""
    ledger = system.sandbox("GET", "/ledger")
    payments: dict[str, list[dict[str, Any]]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    for payment in ledger["payments"]:
        payments[payment["order"]].append(payment)
    for label in ledger["labels"]:
        labels[label["order"]].append(label["status"])
    return [
        f"{order_id} is {order['status']}: {payments[order_id]} {labels[order_id]}"
        for order_id, order in orders.items()
        if not fits(order, payments[order_id], labels[order_id])
    ]


def fits(order: dict[str, Any], payments: list[dict[str, Any]], labels: list[str]) -> bool:
    """Tell whether money and parcels are where the order says."""
    kept = sum(Decimal(p["captured"]) - Decimal(p["refunded"]) for p in payments)
    held = any(p["status"] == "requires_capture" for p in payments)
    live = [status for status in labels if status != "voided"]
    if order["status"] == "completed":
        return kept == Decimal(order["total"]["amount"]) and len(payments) == 1 and bool(live)
    return kept == 0 and not held and not live
