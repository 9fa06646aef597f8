"""What a key may do. Pure; the OpenAPI document and the how-to list them from here."""

from collections.abc import Iterable

SCOPES = {
    "orders:read": "Read orders, their progress, timeline, shipments and returns.",
    "orders:write": "Place and cancel orders, and ask for returns.",
    "payments:read": "Read the payments of orders.",
    "events:read": "Read the feed of events.",
    "webhooks:read": "Read webhook endpoints and their deliveries.",
    "webhooks:write": "Make, change and remove webhook endpoints; test, redeliver and replay.",
    "keys:read": "Read the account's API keys, never the secrets.",
    "keys:write": "Make, rotate and revoke API keys that may do no more than this one.",
}
"""Scope → meaning. The catalogue and the caller's own account need none: any key of the customer's will do."""


def unknown_scopes(scopes: Iterable[str]) -> list[str]:
    """Return those of `scopes` that do not exist, sorted."""
    return sorted(set(scopes) - set(SCOPES))
