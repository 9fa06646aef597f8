"""What the waiting layer understands of orders: their ids, and when there is nothing more to wait for."""

import json
from typing import Any

from config.waiting.inner import Answer

FINAL_STATES = ("done", "compensated")


def order_uuid(public_id: str) -> str:
    """Return the id that the doorbell uses for `ord_…`."""
    digits = public_id.removeprefix("ord_")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def has_first_outcome(answer: Answer) -> bool:
    """Tell whether an order knows what became of its payment."""
    order = _body(answer)
    # A declined order says why once it is rejected, which is a matter of milliseconds.
    return bool(order["payment_status"] not in ("authorising", "declined") or order["status"] != "placed")


def is_final(answer: Answer) -> bool:
    """Tell whether a progress will not change any more."""
    return bool(_body(answer)["state"] in FINAL_STATES)


def _body(answer: Answer) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded
