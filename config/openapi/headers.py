"""The headers of answers."""

from typing import Any

from orders.versions import CURRENT


def _header(description: str, example: str, **schema: Any) -> dict[str, Any]:
    bounds = {} if schema.get("type") == "integer" else {"maxLength": 4_096}
    return {"description": description, "schema": {"type": "string", **bounds, **schema}, "example": example}


def _number(description: str, example: int) -> dict[str, Any]:
    return {
        "description": description,
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1_000_000_000},
        "example": example,
    }


HEADERS: dict[str, dict[str, Any]] = {
    "X-Correlation-ID": _header(
        "Quote it when you ask about this call. Send a UUID of your own to choose it.",
        "0199a2f0-c1d2-7c3b-8e5f-4a6b7c8d9e0f",
    ),
    "Tandem-Version": _header("The version of the API's form that this answer has.", CURRENT, format="date"),
    "ETag": _header("Names this representation; for If-None-Match, and If-Match.", '"1-5f0c9d2ab17e44c1a03b6d58"'),
    "Location": _header(
        "The new object.", "https://tandem.example/api/v1/orders/ord_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f", format="uri"
    ),
    "Idempotent-Replayed": _header(
        "`true` when this is the remembered answer to an earlier request with the same key.", "true"
    ),
    "Preference-Applied": _header("`wait=N` when the answer was waited for.", "wait=10"),
    "RateLimit": _header(
        "What is left: `r` requests, all of them again in `t` seconds; per limit, the narrowest first.",
        '"customer";r=199;t=1',
    ),
    "RateLimit-Policy": _header(
        "The limits: `q` requests within `w` seconds, for the customer and, where it has one, the key.",
        '"customer";q=200;w=1',
    ),
    "RateLimit-Limit": _number("The narrowest limit, in requests a second.", 200),
    "RateLimit-Remaining": _number("What is left of it.", 199),
    "RateLimit-Reset": _number("Seconds until all of it is there again.", 1),
    "Retry-After": _number("Seconds to wait before the next try.", 5),
}

LIMITS = ("RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
"""On every answer to a caller who is known."""


def headers(*names: str) -> dict[str, Any]:
    """Return references to headers, for an answer."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
