"""Labels and the parcels that travel under them."""

import asyncio
import json
import secrets
import time
from datetime import UTC, datetime
from sqlite3 import Row

from config.sandboxes.callbacks import CallbackSender
from config.sandboxes.store import Store

KEY_LIFE_SECONDS = 24 * 3600
LOST_POSTAL_CODE = "99999"

SCHEMA = """
CREATE TABLE IF NOT EXISTS label (
    id TEXT PRIMARY KEY, shipment TEXT NOT NULL, order_ref TEXT NOT NULL, warehouse TEXT NOT NULL,
    recipient TEXT NOT NULL, parcels TEXT NOT NULL, tracking_number TEXT NOT NULL UNIQUE, idempotency_key TEXT,
    status TEXT NOT NULL CHECK (status IN ('ready', 'voided', 'collected', 'delivered', 'exception')),
    sequence INTEGER NOT NULL DEFAULT 0, next_step_at REAL
);
CREATE INDEX IF NOT EXISTS label_shipment ON label (shipment);
CREATE INDEX IF NOT EXISTS label_next_step ON label (next_step_at) WHERE next_step_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency_key (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, label TEXT NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS label_call (
    label TEXT NOT NULL, operation TEXT NOT NULL, idempotency_key TEXT, at TEXT NOT NULL, replayed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS label_call_label ON label_call (label);
"""


class KeyReused(Exception):
    """The idempotency key belongs to another request."""


class AlreadyCollected(Exception):
    """The parcel has left: its label cannot be voided any more."""


class Labels:
    """Every label this carrier has made; a ready parcel is collected and delivered as time passes."""

    def __init__(self, store: Store, callbacks: CallbackSender, *, collect_after: float, deliver_after: float) -> None:
        self._store = store
        self._callbacks = callbacks
        self._collect_after = collect_after
        self._deliver_after = deliver_after
        store.define(SCHEMA)
        store.execute("DELETE FROM idempotency_key WHERE created_at < ?", time.time() - KEY_LIFE_SECONDS)

    def book(self, booking: dict[str, object], key: str | None) -> tuple[Row, bool]:
        """A new label, or with a known key the label made then (and True); raises KeyReused."""
        request = json.dumps(booking, sort_keys=True)
        with self._store.transaction():
            known = self._known(key)
            if known is not None and known["request"] != request:
                raise KeyReused
            label_id = known["label"] if known is not None else self._insert(booking, key)
            if known is None and key:
                self._store.execute(
                    "INSERT OR REPLACE INTO idempotency_key VALUES (?, ?, ?, ?)", key, request, label_id, time.time()
                )
            self._record(label_id, "book", key, replayed=known is not None)
        return self._existing(label_id), known is not None

    def find(self, label_id: str) -> Row | None:
        return self._store.row("SELECT * FROM label WHERE id = ?", label_id)

    def of_shipment(self, shipment: str) -> list[Row]:
        return self._store.rows("SELECT * FROM label WHERE shipment = ? ORDER BY rowid", shipment)

    def void(self, label_id: str, key: str | None) -> Row | None:
        """The label, voided now or before; None when there is none; raises AlreadyCollected."""
        with self._store.transaction():
            label = self.find(label_id)
            if label is None:
                return None
            if label["status"] not in ("ready", "voided"):
                raise AlreadyCollected
            self._store.execute("UPDATE label SET status = 'voided', next_step_at = NULL WHERE id = ?", label_id)
            self._record(label_id, "void", key, replayed=label["status"] == "voided")
        return self.find(label_id)

    def forget_keys(self) -> int:
        return self._store.execute("DELETE FROM idempotency_key")

    def ledger(self) -> list[dict[str, object]]:
        calls: dict[str, list[dict[str, object]]] = {}
        for call in self._store.rows("SELECT * FROM label_call ORDER BY rowid"):
            shown = {"operation": call["operation"], "idempotency_key": call["idempotency_key"], "at": call["at"]}
            calls.setdefault(call["label"], []).append({**shown, "replayed": bool(call["replayed"])})
        return [
            {
                "id": label["id"],
                "order": label["order_ref"],
                "shipment": label["shipment"],
                "status": label["status"],
                "idempotency_key": label["idempotency_key"],
                "calls": calls.get(label["id"], []),
            }
            for label in self._store.rows("SELECT * FROM label ORDER BY rowid")
        ]

    async def travel(self) -> None:
        """Move parcels for ever as their times come."""
        while True:
            for label in self._store.rows("SELECT * FROM label WHERE next_step_at <= ?", time.time()):
                with self._store.transaction():
                    self._step(label)
            await asyncio.sleep(0.05)

    def _step(self, label: Row) -> None:
        if label["status"] == "ready":
            status, next_step_at = "collected", time.time() + self._deliver_after
        else:
            lost = json.loads(label["recipient"]).get("postal_code") == LOST_POSTAL_CODE
            status, next_step_at = "exception" if lost else "delivered", None
        self._store.execute(
            "UPDATE label SET status = ?, next_step_at = ?, sequence = sequence + 1 WHERE id = ?",
            *(status, next_step_at, label["id"]),
        )
        self._announce(self._existing(label["id"]))

    def _announce(self, label: Row) -> None:
        event = {
            "id": "cevt_" + secrets.token_hex(12),
            "type": f"parcel.{label['status']}",
            "label": label["id"],
            "shipment": label["shipment"],
            "order": label["order_ref"],
            "tracking_number": label["tracking_number"],
            "sequence": label["sequence"],
            "occurred_at": _now(),
        }
        self._callbacks.enqueue(str(event["id"]), stream=label["id"], body=json.dumps(event))

    def _known(self, key: str | None) -> Row | None:
        oldest = time.time() - KEY_LIFE_SECONDS
        return self._store.row("SELECT * FROM idempotency_key WHERE key = ? AND created_at > ?", key, oldest)

    def _insert(self, booking: dict[str, object], key: str | None) -> str:
        label_id = "lbl_" + secrets.token_hex(12)
        tracking_number = f"TC{secrets.randbelow(10**12):012d}"
        self._store.execute(
            "INSERT INTO label (id, shipment, order_ref, warehouse, recipient, parcels, tracking_number,"
            " idempotency_key, status, next_step_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?)",
            *(label_id, booking["shipment"], booking["order"], booking["warehouse"]),
            *(json.dumps(booking["recipient"]), json.dumps(booking["parcels"]), tracking_number, key),
            time.time() + self._collect_after,
        )
        return label_id

    def _record(self, label_id: str, operation: str, key: str | None, *, replayed: bool) -> None:
        self._store.execute("INSERT INTO label_call VALUES (?, ?, ?, ?, ?)", label_id, operation, key, _now(), replayed)

    def _existing(self, label_id: str) -> Row:
        label = self.find(label_id)
        assert label is not None
        return label


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
