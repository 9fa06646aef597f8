"""Events of the provider and those it lacks, kept to be listed and called back."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

from config.sandboxes.callbacks import CallbackSender, Signer
from config.sandboxes.payments import shapes
from config.sandboxes.payments.records import Records
from config.sandboxes.store import Store

Document = dict[str, object]

OWN_EVENTS = {
    "requires_capture": "payment_intent.amount_capturable_updated",
    "requires_action": "payment_intent.requires_action",
    "canceled": "payment_intent.canceled",
}


def signer(secret: str) -> Signer:
    """Signs callbacks as Stripe does, with a fresh time at each attempt."""

    def sign(callback_id: str, body: str) -> dict[str, str]:
        return {"Stripe-Signature": signature(secret, int(time.time()), body)}

    return sign


def signature(secret: str, timestamp: int, body: str) -> str:
    digest = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Events:
    """The events of payments, each stored together with its callback."""

    def __init__(self, store: Store, records: Records, callbacks: CallbackSender) -> None:
        self._store = store
        self._records = records
        self._callbacks = callbacks

    def status_changed(self, intent: Document) -> None:
        """Announce an intent's new status, unless the provider itself does."""
        if kind := OWN_EVENTS.get(str(intent["status"])):
            self.announce(kind, intent)

    def announce(self, kind: str, subject: Document) -> None:
        event_id = "evt_" + secrets.token_hex(12)
        self._keep(shapes.event(event_id, kind, int(time.time()), subject), parent=None)

    def accept(self, raw: Document, show: Callable[[Document], Document]) -> None:
        """Take over an event of the provider; one that is known already is ignored."""
        data = raw["data"]
        assert isinstance(data, dict)
        subject: Document = data["object"]
        shown = show(subject) if subject.get("object") == "payment_intent" else subject
        event = shapes.event(str(raw["id"]), str(raw["type"]), int(str(raw["created"])), shown)
        self._keep(event, parent="provider")

    def _keep(self, event: Document, *, parent: str | None) -> None:
        data = event["data"]
        assert isinstance(data, dict)
        subject = data["object"]
        with self._store.transaction():
            if self._records.store_object(event, kind="event", parent=parent):
                stream = str(subject.get("payment_intent") or subject.get("id"))
                self._callbacks.enqueue(str(event["id"]), stream=stream, body=json.dumps(event))
