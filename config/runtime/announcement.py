"""The words that tell a person, once, that everything runs and where to go."""

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from config.runtime.files import DataDirectory, read_json

ROLES = ("staff", "operator", "approver", "viewer")
LOOK_EVERY_SECONDS = 0.5
SLOW_AFTER_SECONDS = 60.0
WORKERS_SIGN_IN_SECONDS = 20.0
FIRST_ORDER = {
    "currency": "EUR",
    "lines": [{"sku": "TEA-EARL-100", "quantity": 2}],
    "shipping_address": {
        "name": "A. Reader",
        "line1": "1 Quay",
        "city": "Lisbon",
        "postal_code": "1100-148",
        "country": "PT",
    },
    "payment_method": "pm_card_visa",
}


class Announcement:
    """Asks the web server whether it is ready and the workers are there, and has the announcement due once they are.

    Workers that do not come in time do not hold it back: then it says so.
    """

    def __init__(self, base_url: str, data: DataDirectory, *, workers: int) -> None:
        self._base_url = base_url
        self._data = data
        self._workers = workers
        self._made = False
        self._next_look = 0.0
        self._ready_since: float | None = None
        self._slow_at = time.monotonic() + SLOW_AFTER_SECONDS

    def due(self) -> str | None:
        """The announcement, the first time the server is ready; a hint when that takes long; else nothing."""
        now = time.monotonic()
        if self._made or now < self._next_look:
            return None
        self._next_look = now + LOOK_EVERY_SECONDS
        if is_ready(self._base_url):
            self._ready_since = self._ready_since or now
            came = workers_signed_in(self._base_url) if self._workers else 0
            self._made = came >= self._workers or now - self._ready_since >= WORKERS_SIGN_IN_SECONDS
            return announcement(self._base_url, self._data, self._workers, came) if self._made else None
        if now > self._slow_at:
            self._slow_at = now + SLOW_AFTER_SECONDS
            return f"tandem: not ready yet. {self._base_url}/health/ready says why; logs are in {self._data.logs}"
        return None


def is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/health/ready", timeout=1) as answer:  # noqa: S310  our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def workers_signed_in(base_url: str) -> int:
    """How many workers the web server knows to live; overdue work, which makes it answer 503, does not matter here."""
    try:
        answer = urllib.request.urlopen(f"{base_url}/health/workers", timeout=1)  # noqa: S310  our own address
    except urllib.error.HTTPError as error:
        answer = error
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return 0
    try:
        with answer:
            return int(json.load(answer).get("workers", 0))
    except (OSError, http.client.HTTPException, ValueError):
        return 0


def announcement(base_url: str, data: DataDirectory, workers: int, signed_in: int) -> str:
    demo = read_json(data.demo)
    return "\n".join(
        [
            "",
            f"  Tandem is ready, {at_work(workers, signed_in, data)}.",
            "",
            *table(places(base_url, demo)),
            "",
            *accounts(demo),
            "",
            "  The first order:",
            "",
            first_order(base_url, str(demo.get("api_key"))),
            "",
            f"  All of this for scripts: {data.demo}   Logs: {data.logs}   Stop: Ctrl-C",
            "",
        ]
    )


def at_work(workers: int, signed_in: int, data: DataDirectory) -> str:
    if not workers:
        return "with no workers: orders are accepted and wait for them"
    if signed_in >= workers:
        return f"with {workers} worker process" + ("es" if workers > 1 else "")
    return (
        f"but only {signed_in} of {workers} worker processes came within {WORKERS_SIGN_IN_SECONDS:.0f} s: orders are "
        f"accepted and may wait. {data.logs / 'cluster.log'} says why"
    )


def places(base_url: str, demo: dict[str, Any]) -> list[tuple[str, str]]:
    pages = {
        "Staff": "/staff/",
        "Admin": "/admin/",
        "API": "/api/v1/",
        "API docs": "/api/v1/docs",
        "Metrics": "/metrics",
        "Health": "/health/ready",
    }
    sandbox = [("Sandboxes", demo["sandbox_url"])] if demo.get("sandbox_url") else []
    return [(name, base_url + path) for name, path in pages.items()] + sandbox


def accounts(demo: dict[str, Any]) -> list[str]:
    people = [(role, f"{demo[role]['username']:<12}{demo[role]['password']}") for role in ROLES if role in demo]
    keys = {"customer": "api_key", "customer 2": "second_customer_api_key"}
    return table([*people, *((name, str(demo[key])) for name, key in keys.items() if key in demo)])


def table(rows: list[tuple[str, str]]) -> list[str]:
    return [f"  {name:<12}{value}" for name, value in rows]


def first_order(base_url: str, api_key: str) -> str:
    return (
        f"  curl -sS {base_url}/api/v1/orders \\\n"
        f"    -H 'Authorization: Bearer {api_key}' \\\n"
        '    -H "Idempotency-Key: order-$(date +%s)" \\\n'
        "    -H 'Content-Type: application/json' \\\n"
        f"    -d '{json.dumps(FIRST_ORDER)}'"
    )
