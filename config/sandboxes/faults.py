"""Which faults are switched on, and whether one hits this time."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from sqlite3 import Row

from config.sandboxes.store import Store

TARGETS = ("payments", "carrier")
CALL_MODES = ("latency", "drop", "error", "throttle", "timeout_after_success", "garbage")
CALLBACK_MODES = ("duplicate_callbacks", "reorder_callbacks")
MODES = CALL_MODES + CALLBACK_MODES
DEFAULT_LATENCY_MS = {"latency": 2000, "timeout_after_success": 30_000, "reorder_callbacks": 5000}

SCHEMA = """
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, mode TEXT NOT NULL, rate REAL NOT NULL,
    latency_ms INTEGER NOT NULL, status INTEGER NOT NULL, retry_after_s REAL NOT NULL, expires_at REAL
);
"""


class InvalidFault(ValueError):
    """The description of a fault cannot be used; `field` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Fault:
    """One disturbance, hitting each call with probability `rate` until `expires_at` (seconds since 1970)."""

    target: str
    mode: str
    rate: float
    latency_ms: int
    status: int
    retry_after_s: float
    expires_at: float | None
    id: int = 0

    def described(self) -> dict[str, object]:
        """The fault as the switchboard shows it, with the seconds left in place of the moment."""
        shown = asdict(self)
        del shown["expires_at"]
        shown["for_s"] = None if self.expires_at is None else round(max(0.0, self.expires_at - time.time()), 1)
        return shown


@dataclass(frozen=True)
class _Bounds:
    lowest: float
    highest: float
    whole: bool


_NUMBERS = {
    "rate": _Bounds(0, 1, whole=False),
    "latency_ms": _Bounds(0, 600_000, whole=True),
    "status": _Bounds(400, 599, whole=True),
    "retry_after_s": _Bounds(0, 86_400, whole=False),
    "for_s": _Bounds(0.001, 86_400, whole=False),
}


def parse_fault(described: object) -> Fault:
    """The fault that a JSON document describes; raises InvalidFault with a sentence for the sender."""
    if not isinstance(described, dict):
        raise InvalidFault("", 'Send a JSON object such as {"target": "payments", "mode": "latency"}.')
    unknown = sorted(set(described) - {"target", "mode", *_NUMBERS})
    if unknown:
        raise InvalidFault(unknown[0], f"There is no field {unknown[0]!r}; use target, mode, {', '.join(_NUMBERS)}.")
    target = _choice(described, "target", TARGETS)
    mode = _choice(described, "mode", MODES)
    numbers = {name: _number(described, name, bounds) for name, bounds in _NUMBERS.items()}
    rate, latency, status = numbers["rate"], numbers["latency_ms"], numbers["status"]
    retry_after, duration = numbers["retry_after_s"], numbers["for_s"]
    return Fault(
        target=target,
        mode=mode,
        rate=1.0 if rate is None else rate,
        latency_ms=DEFAULT_LATENCY_MS.get(mode, 0) if latency is None else int(latency),
        status=503 if status is None else int(status),
        retry_after_s=2.0 if retry_after is None else retry_after,
        expires_at=None if duration is None else time.time() + duration,
    )


def _choice(described: Mapping[str, object], field: str, allowed: tuple[str, ...]) -> str:
    value = described.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise InvalidFault(field, f"{field} must be one of {', '.join(allowed)}.")
    return value


def _number(described: Mapping[str, object], field: str, bounds: _Bounds) -> float | None:
    value = described.get(field)
    if value is None:
        return None
    fits = isinstance(value, int if bounds.whole else int | float) and not isinstance(value, bool)
    if not fits or not bounds.lowest <= float(str(value)) <= bounds.highest:
        kind = "a whole number" if bounds.whole else "a number"
        raise InvalidFault(field, f"{field} must be {kind} from {bounds.lowest:g} to {bounds.highest:g}.")
    return float(str(value))


class FaultBoard:
    """The faults of one sandbox, kept over its restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._random = secrets.SystemRandom()
        store.define(SCHEMA)

    def add(self, fault: Fault) -> Fault:
        row = self._store.row(
            "INSERT INTO fault (target, mode, rate, latency_ms, status, retry_after_s, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
            *(fault.target, fault.mode, fault.rate, fault.latency_ms, fault.status),
            *(fault.retry_after_s, fault.expires_at),
        )
        assert row is not None
        return _fault(row)

    def active(self) -> list[Fault]:
        """The faults in force now, oldest first."""
        self._store.execute("DELETE FROM fault WHERE expires_at <= ?", time.time())
        return [_fault(row) for row in self._store.rows("SELECT * FROM fault ORDER BY id")]

    def clear(self) -> int:
        """Switch every fault off; answer how many there were."""
        return self._store.execute("DELETE FROM fault")

    def hits(self, *modes: str) -> dict[str, Fault]:
        """Roll the dice once for each active fault of these modes; answer those that hit, the oldest per mode."""
        struck: dict[str, Fault] = {}
        for fault in self.active():
            if fault.mode in modes and self._random.random() < fault.rate:
                struck.setdefault(fault.mode, fault)
        return struck


def _fault(row: Row) -> Fault:
    return Fault(**dict(row))
