"""Stripe's ready-made test payment methods, most of which localstripe does not know."""

import asyncio
from dataclasses import dataclass

from config.sandboxes.payments.errors import of_provider
from config.sandboxes.payments.provider import Provider
from config.sandboxes.store import Store

CAPTURE_FAILS = "pm_card_captureFails"

SCHEMA = """
CREATE TABLE IF NOT EXISTS payment_method (alias TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS working_capture (alias TEXT PRIMARY KEY);
"""


@dataclass(frozen=True)
class TestCard:
    """A number that makes localstripe behave as wanted, and the decline that the front then tells."""

    number: str
    decline_code: str = "generic_decline"


CARDS = {
    "pm_card_visa": TestCard("4242424242424242"),
    "pm_card_chargeDeclined": TestCard("4000000000000341"),
    "pm_card_chargeDeclinedInsufficientFunds": TestCard("4000000000000341", "insufficient_funds"),
    "pm_card_authenticationRequired": TestCard("4000002500003155"),
    CAPTURE_FAILS: TestCard("4242424242424242"),
}


class PaymentMethods:
    """Makes each test method once at the provider and remembers which id it got there."""

    def __init__(self, store: Store, provider: Provider) -> None:
        self._store = store
        self._provider = provider
        self._making = asyncio.Lock()
        store.define(SCHEMA)

    async def resolve(self, name: str) -> str:
        """The provider's id for a payment method; names other than the test methods' are ids already."""
        if name not in CARDS:
            return name
        async with self._making:
            row = self._store.row("SELECT id FROM payment_method WHERE alias = ?", name)
            if row is not None:
                return str(row["id"])
            method_id = await self._make(CARDS[name])
            self._store.execute("INSERT INTO payment_method VALUES (?, ?)", name, method_id)
            return method_id

    def decline_code(self, method_id: object) -> str:
        return CARDS.get(self._alias(method_id), CARDS["pm_card_visa"]).decline_code

    def capture_fails(self, method_id: object) -> bool:
        alias = self._alias(method_id)
        works = self._store.row("SELECT 1 FROM working_capture WHERE alias = ?", alias)
        return alias == CAPTURE_FAILS and works is None

    def let_captures_fail(self, fail: bool) -> None:
        """Whether captures of pm_card_captureFails are refused from now on; they are at first."""
        if fail:
            self._store.execute("DELETE FROM working_capture")
        else:
            self._store.execute("INSERT OR IGNORE INTO working_capture VALUES (?)", CAPTURE_FAILS)

    def _alias(self, method_id: object) -> str:
        row = self._store.row("SELECT alias FROM payment_method WHERE id = ?", method_id)
        return str(row["alias"]) if row is not None else ""

    async def _make(self, card: TestCard) -> str:
        pairs = [("type", "card"), ("card[number]", card.number)]
        pairs += [("card[exp_month]", "12"), ("card[exp_year]", "2040"), ("card[cvc]", "123")]
        status, document = await self._provider.call("POST", "/v1/payment_methods", pairs)
        if status != 200:
            raise of_provider(status, document)
        return str(document["id"])
