"""`seed_orders N`: N varied orders, placed through the API of the running server."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser

CLIENTS = 4
ATTEMPTS = 5
DECLINED_SHARE = 0.1
PEOPLE = (
    ("Inês Almeida", "Rua do Alecrim 12", "Lisboa", "1200-018", "PT"),
    ("Jonas Weber", "Oranienstraße 44", "Berlin", "10969", "DE"),
    ("Maëlle Le Goff", "7 quai de la Fosse", "Nantes", "44000", "FR"),
    ("Giulia Conti", "Via dei Serragli 23", "Firenze", "50124", "IT"),
    ("Piotr Zieliński", "ul. Długa 31", "Kraków", "31-147", "PL"),
    ("Aoife Brennan", "18 Wellington Quay", "Dublin", "D02 X285", "IE"),
    ("Sanne de Vries", "Prinsengracht 263", "Amsterdam", "1016 GV", "NL"),
    ("Łucja Ó Súilleabháin-Hohenstaufen", "Calle de la Cava Baja 30", "Madrid", "28005", "ES"),
)


class Command(BaseCommand):
    """Place orders through the real API: baskets, addresses and cards vary; one card in ten is declined."""

    help = "Place N varied orders through the API of the running server."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("count", type=int)
        parser.add_argument("--seed", type=int, default=None, help="Place the same orders again.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Place the orders and print what came of it."""
        demo = _demo()
        # Not for secrets: the same seed shall give the same baskets.
        dice = random.Random(options["seed"])  # noqa: S311
        headers = {"Authorization": f"Bearer {demo['api_key']}"}
        with httpx.Client(base_url=f"{demo['base_url']}/api/v1", headers=headers, timeout=30) as client:
            skus = list(_skus(client))
            bodies = [_order(dice, skus, number) for number in range(1, options["count"] + 1)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                outcomes = Counter(pool.map(lambda body: _place(client, body), bodies))
        for outcome, number in sorted(outcomes.items()):
            self.stdout.write(f"{number:>6}  {outcome}")


def _demo() -> dict[str, Any]:
    directory = Path(os.environ.get("TANDEM_DATA_DIR", "var"))
    try:
        demo = dict(json.loads((directory / "demo.json").read_text()))
    except FileNotFoundError as error:
        raise CommandError(f"There is no {directory}/demo.json. Start the demo first: ./tandem up") from error
    if "base_url" not in demo:
        raise CommandError(f"{directory}/demo.json names no server. Start the demo first: ./tandem up")
    return demo


def _skus(client: httpx.Client) -> Iterator[str]:
    """Yield the products of which there is plenty."""
    url: str | None = "products?limit=100"
    while url:
        page = client.get(url).raise_for_status().json()
        yield from (product["sku"] for product in page["data"] if product["availability"]["quantity"] > 100)
        url = page["next"]


def _order(dice: random.Random, skus: list[str], number: int) -> dict[str, Any]:
    name, line1, city, postal_code, country = dice.choice(PEOPLE)
    basket = dice.sample(skus, dice.choice((1, 1, 2, 2, 3, 4, 6)))
    return {
        "currency": dice.choice(("EUR", "EUR", "EUR", "USD")),
        "lines": [{"sku": sku, "quantity": dice.choice((1, 1, 1, 2, 3))} for sku in basket],
        "shipping_address": {
            "name": name,
            "line1": line1,
            "city": city,
            "postal_code": postal_code,
            "country": country,
        },
        "payment_method": _card(dice),
        "reference": f"SEED-{number:05d}",
        "metadata": {"channel": dice.choice(("web", "app", "phone"))},
    }


def _card(dice: random.Random) -> str:
    if dice.random() >= DECLINED_SHARE:
        return "pm_card_visa"
    return dice.choice(("pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"))


def _place(client: httpx.Client, body: dict[str, Any]) -> str:
    """Place one order, as often as needed, under one key; return what came of it."""
    key = {"Idempotency-Key": str(uuid4())}
    outcome = ""
    for _ in range(ATTEMPTS):
        try:
            response = client.post("orders", json=body, headers=key)
        except httpx.TransportError as error:
            outcome, pause = f"no answer ({type(error).__name__})", 1.0
        else:
            if response.status_code == 201:
                return "placed"
            outcome = f"refused: {response.json()['code']}"
            if "Retry-After" not in response.headers:
                break
            pause = float(response.headers["Retry-After"])
        time.sleep(pause)
    return outcome
