"""An example of each kind of problem, for the OpenAPI document and the pages that explain them."""

from collections.abc import Mapping
from typing import Any

from config.problems import PROBLEMS
from orders.versions import VERSIONS

MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "validation_failed": {
        "detail": "One field is wrong.",
        "errors": [{"pointer": "/lines/0/quantity", "code": "too_small", "detail": "This has to be at least 1."}],
    },
    "unknown_sku": {
        "detail": "One product is not in the catalogue.",
        "errors": [
            {
                "pointer": "/lines/0/sku",
                "code": "unknown_sku",
                "detail": "There is no product 'TEA-EARL-1' in the catalogue.",
            }
        ],
    },
    "insufficient_stock": {
        "detail": "There is not enough of TEA-EARL-100.",
        "shortages": [{"sku": "TEA-EARL-100", "requested": 2, "available": 1}],
    },
    "total_changed": {
        "detail": "The order costs 25.80 EUR, not 24.00 EUR.",
        "total": {"amount": "25.80", "currency": "EUR"},
    },
    "unknown_version": {
        "detail": f"There is no version '2020-01-01' of the API; there are {', '.join(VERSIONS)}.",
        "versions": list(VERSIONS),
    },
    "insufficient_scope": {"detail": "This call needs the scope orders:write, which your key has not."},
}
"""What an answer with the problem has beyond what all have; and a `detail` where ours depends on the request."""


def problem_example(code: str, instance: str = "/api/v1/orders") -> dict[str, Any]:
    """Return what an answer with the problem `code` to a call of `instance` looks like."""
    kind = PROBLEMS[code]
    return {
        "type": f"https://tandem.example/docs/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": f"{kind.meaning} {kind.remedy}",
        "instance": instance,
        "correlation_id": "0199a2f0-c1d2-7c3b-8e5f-4a6b7c8d9e0f",
        **MEMBERS.get(code, {}),
    }
