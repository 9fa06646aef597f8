"""What the front remembers of the provider: objects to list, money per payment, calls for the ledger."""

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from sqlite3 import Row

from config.sandboxes.store import Store

Document = dict[str, object]

MINOR_DIGITS = {"BIF": 0, "CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "PYG": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0}
MINOR_DIGITS |= {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3}

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT,
    type TEXT, created INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, sequence);
CREATE INDEX IF NOT EXISTS object_parent ON object (parent);
CREATE TABLE IF NOT EXISTS payment (
    intent TEXT PRIMARY KEY, order_ref TEXT, amount INTEGER NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL,
    charge TEXT, authorised INTEGER NOT NULL DEFAULT 0, captured INTEGER NOT NULL DEFAULT 0,
    amount_to_capture INTEGER, raw TEXT NOT NULL, description TEXT, cancellation_reason TEXT, canceled_at INTEGER,
    unsettled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS payment_charge ON payment (charge);
CREATE TABLE IF NOT EXISTS call (
    intent TEXT NOT NULL, operation TEXT NOT NULL, idempotency_key TEXT, at TEXT NOT NULL,
    replayed INTEGER NOT NULL, status INTEGER NOT NULL
);
"""

LIST = """
SELECT * FROM object WHERE kind = :kind AND (:parent IS NULL OR parent = :parent) AND (:type IS NULL OR type = :type)
  AND created >= :since AND created <= :until
  AND sequence < coalesce((SELECT sequence FROM object WHERE id = :starting_after), 9e18)
  AND sequence > coalesce((SELECT sequence FROM object WHERE id = :ending_before), 0)
ORDER BY sequence DESC LIMIT :limit
"""


class Records:
    """The front's tables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.define(SCHEMA)

    def payment(self, intent: str) -> Row | None:
        return self._store.row("SELECT * FROM payment WHERE intent = ?", intent)

    def payment_of_charge(self, charge: str) -> Row | None:
        return self._store.row("SELECT * FROM payment WHERE charge = ?", charge)

    def keep_payment(self, raw: Document, *, description: str | None = None) -> None:
        """Take over the money and status of an intent as the provider has just shown it."""
        charge = raw.get("latest_charge")
        charge = charge if isinstance(charge, dict) else {}
        metadata = raw.get("metadata")
        order = metadata.get("order") if isinstance(metadata, dict) else None
        authorised = raw["amount"] if charge.get("status") == "succeeded" else 0
        self._store.execute(
            "INSERT INTO payment (intent, order_ref, amount, currency, status, description, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, '') ON CONFLICT (intent) DO NOTHING",
            *(raw["id"], order, raw["amount"], str(raw["currency"]).upper(), raw["status"], description),
        )
        self._store.execute(
            "UPDATE payment SET order_ref = ?, status = ?, charge = ?, authorised = ?, raw = ?, unsettled = 0,"
            " captured = CASE WHEN ? THEN coalesce(amount_to_capture, amount) ELSE 0 END WHERE intent = ?",
            *(order, raw["status"], charge.get("id"), authorised, json.dumps(raw)),
            *(bool(authorised and charge.get("captured")), raw["id"]),
        )

    def begin(self, intent: str, *, amount_to_capture: int | None = None, reason: str | None = None) -> None:
        """Note, before the provider is told, that this payment is about to change and how."""
        self._store.execute(
            "UPDATE payment SET unsettled = 1, amount_to_capture = coalesce(?, amount_to_capture),"
            " cancellation_reason = coalesce(?, cancellation_reason) WHERE intent = ?",
            *(amount_to_capture, reason, intent),
        )

    def mark_canceled(self, intent: str) -> None:
        self._store.execute(
            "UPDATE payment SET canceled_at = coalesce(canceled_at, ?) WHERE intent = ?", int(time.time()), intent
        )

    def unsettled(self) -> list[str]:
        """Intents whose last change broke off: the provider must be asked again."""
        return [str(row["intent"]) for row in self._store.rows("SELECT intent FROM payment WHERE unsettled")]

    def store_object(self, body: Document, *, kind: str, parent: str | None = None) -> bool:
        """Insert or renew an object that can be listed; answer whether it is new."""
        known = self._store.row("SELECT 1 FROM object WHERE id = ?", body["id"]) is not None
        self._store.execute(
            "INSERT INTO object (id, kind, parent, type, created, body) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            *(body["id"], kind, parent, body.get("type"), body["created"], json.dumps(body)),
        )
        return not known

    def stored(self, kind: str, object_id: str) -> Document | None:
        row = self._store.row("SELECT body FROM object WHERE kind = ? AND id = ?", kind, object_id)
        return None if row is None else _document(row)

    def page(self, criteria: dict[str, object]) -> tuple[list[Document], bool]:
        """Objects newest first, at most `limit`, and whether there are more; `criteria` are the names in LIST."""
        limit = int(str(criteria["limit"]))
        rows = self._store.rows_named(LIST, {**criteria, "limit": limit + 1})
        return [_document(row) for row in rows[:limit]], len(rows) > limit

    def refunded(self, intent: str) -> int:
        """Minor units given back so far."""
        bodies = self._store.rows("SELECT body FROM object WHERE kind = 'refund' AND parent = ?", intent)
        return sum(int(str(_document(row)["amount"])) for row in bodies)

    def last_provider_event(self, behind: int) -> str | None:
        """The id of the provider's event `behind` places before the last one seen."""
        row = self._store.row(
            "SELECT id FROM object WHERE kind = 'event' AND parent = 'provider'"
            " ORDER BY sequence DESC LIMIT 1 OFFSET ?",
            behind,
        )
        return None if row is None else str(row["id"])

    def record_call(self, intent: str, operation: str, key: str | None, status: int, *, replayed: bool) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._store.execute("INSERT INTO call VALUES (?, ?, ?, ?, ?, ?)", intent, operation, key, at, replayed, status)

    def ledger(self) -> list[Document]:
        """Every payment with its money in decimal strings and every call that concerned it, oldest first."""
        calls: dict[str, list[Document]] = {}
        for row in self._store.rows("SELECT * FROM call ORDER BY rowid"):
            call = {name: row[name] for name in ("operation", "idempotency_key", "at", "status")}
            calls.setdefault(row["intent"], []).append({**call, "replayed": bool(row["replayed"])})
        refunds: dict[str, int] = {}
        for row in self._store.rows("SELECT parent, body FROM object WHERE kind = 'refund'"):
            refunds[row["parent"]] = refunds.get(row["parent"], 0) + int(str(_document(row)["amount"]))
        return [
            {
                "id": row["intent"],
                "order": row["order_ref"],
                "amount": decimal_string(row["amount"], row["currency"]),
                "currency": row["currency"],
                "authorised": decimal_string(row["authorised"], row["currency"]),
                "captured": decimal_string(row["captured"], row["currency"]),
                "refunded": decimal_string(refunds.get(row["intent"], 0), row["currency"]),
                "voided": row["status"] == "canceled",
                "status": row["status"],
                "calls": calls.get(row["intent"], []),
            }
            for row in self._store.rows("SELECT * FROM payment ORDER BY rowid")
        ]


def decimal_string(minor_units: int, currency: str) -> str:
    """An amount with the currency's own number of decimals: (2580, "EUR") is "25.80"."""
    digits = MINOR_DIGITS.get(currency, 2)
    return str(Decimal(minor_units).scaleb(-digits).quantize(Decimal(1).scaleb(-digits)))


def _document(row: Row) -> Document:
    body: Document = json.loads(row["body"])
    return body
