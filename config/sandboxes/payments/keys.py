"""Idempotency keys: one key, one effect, one answer, also over a crash in between."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from sqlite3 import Row

from config.sandboxes.payments.errors import StripeError
from config.sandboxes.store import Store

KEY_LIFE_SECONDS = 24 * 3600

SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency_key (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, created_at REAL NOT NULL, status INTEGER, body TEXT
);
"""


@dataclass(frozen=True)
class Answer:
    """An HTTP status and its JSON body; `replayed` when it was given before."""

    status: int
    body: dict[str, object]
    replayed: bool = False


class IdempotencyKeys:
    """Answers a repeated request from memory; keys live 24 hours, as at the real provider."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: set[str] = set()
        store.define(SCHEMA)
        store.execute("DELETE FROM idempotency_key WHERE created_at < ?", time.time() - KEY_LIFE_SECONDS)

    async def once(self, key: str, request: str, work: Callable[[bool], Awaitable[Answer]]) -> Answer:
        """The answer stored under `key`, else that of `work`.

        `work` is told whether an earlier run with this key broke off with its outcome unknown. Raises StripeError for
        a key that is in use or belongs to another request.
        """
        fingerprint = hashlib.sha256(request.encode()).hexdigest()
        known = self._known(key)
        if known is not None and known["fingerprint"] != fingerprint:
            raise StripeError(400, "idempotency_error", f"The idempotency key {key!r} belongs to another request.")
        if key in self._running:
            message = f"A request with the idempotency key {key!r} is still running."
            raise StripeError(409, "invalid_request_error", message, code="idempotency_key_in_use")
        if known is not None and known["body"] is not None:
            return Answer(known["status"], json.loads(known["body"]), replayed=True)
        if known is None:
            self._store.execute(
                "INSERT OR REPLACE INTO idempotency_key (key, fingerprint, created_at) VALUES (?, ?, ?)",
                *(key, fingerprint, time.time()),
            )
        self._running.add(key)
        try:
            answer = await work(known is not None)
        finally:
            self._running.discard(key)
        self._keep(key, answer)
        return answer

    def unanswered(self) -> bool:
        """Whether a request broke off before its answer was stored."""
        return self._store.row("SELECT 1 FROM idempotency_key WHERE body IS NULL") is not None

    def forget(self) -> int:
        """Forget every key; answer how many there were."""
        return self._store.execute("DELETE FROM idempotency_key")

    def _known(self, key: str) -> Row | None:
        oldest = time.time() - KEY_LIFE_SECONDS
        return self._store.row("SELECT * FROM idempotency_key WHERE key = ? AND created_at > ?", key, oldest)

    def _keep(self, key: str, answer: Answer) -> None:
        """Store what was decided; a refusal leaves the key free, a failure leaves its outcome open."""
        if answer.status >= 500:
            return
        if answer.status < 400 or answer.status == 402 or _about_state(answer.body):
            statement = "UPDATE idempotency_key SET status = ?, body = ? WHERE key = ?"
            self._store.execute(statement, answer.status, json.dumps(answer.body), key)
        else:
            self._store.execute("DELETE FROM idempotency_key WHERE key = ?", key)


def _about_state(body: dict[str, object]) -> bool:
    error = body.get("error")
    return isinstance(error, dict) and error.get("code") == "payment_intent_unexpected_state"
