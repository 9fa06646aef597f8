"""The versions of the API's form, by date, and how to show an answer as an earlier one did. Pure.

What answers look like inside is always the present version. A change that could break somebody's program gets a date
and, for each kind of object that it changes, one small function back to how that looked before; an answer of an earlier
version goes through those of all later dates, newest first. The waiting layer reads `status`, `payment_status` and
`state` of answers of any version: leave these as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Earlier = Callable[[Document], Document]


@dataclass(frozen=True)
class Change:
    """What a version changed, in words for customers, and the way back."""

    version: str
    told: tuple[str, ...]
    earlier: Mapping[str, Earlier]
    """By what the member `object` says: how such an object looked before."""


def payment_with_flat_decline(payment: Document) -> Document:
    """Show a payment with `decline_code` and `decline_reason` instead of `decline`."""
    decline = payment["decline"] or {"code": None, "reason": None}
    shown = {name: value for name, value in payment.items() if name != "decline"}
    return {**shown, "decline_code": decline["code"], "decline_reason": decline["reason"]}


FIRST = "2026-11-23"
"""The version of keys that were made before keys had one."""

CHANGES = (
    Change(
        "2026-11-25",
        (
            "A payment that was declined says so in one member: `decline` is null, or an object with `code` and "
            "`reason`. It was two members before, `decline_code` and `decline_reason`.",
        ),
        {"payment": payment_with_flat_decline},
    ),
)
"""Newest first."""

CURRENT = CHANGES[0].version
VERSIONS = (*(change.version for change in CHANGES), FIRST)
"""Every version that is served, newest first."""


def as_of(version: str, document: Any) -> Any:
    """Return a document of the present version in the form of another one: an answer, an event, or a part of one."""
    for change in CHANGES:
        if change.version <= version:
            break
        document = _before(change, document)
    return document


def _before(change: Change, value: Any) -> Any:
    if isinstance(value, list):
        return [_before(change, item) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {name: _before(change, member) for name, member in value.items()}
    earlier = change.earlier.get(str(shown.get("object")))
    return earlier(shown) if earlier else shown
