"""Examples for the OpenAPI document, put together from those of the fields. Pure.

A field that needs an example of its own gets it where it is declared, `Annotated[str, Meta(examples=["…"])]`; what is
called the same everywhere is in NAMED. A text without either is shown as NO_EXAMPLE, which config/openapi/rules.py
finds.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

NO_EXAMPLE = "(no example)"
TIME = "2026-11-25T09:30:00Z"
_DIGITS = "0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"

NAMED: Mapping[str, Any] = {
    "sku": "TEA-EARL-100",
    "currency": "EUR",
    "version": 1,
    "quantity": 2,
    "reference": "PO-4711",
    "category": "Tea",
    "order": f"ord_{_DIGITS}",
    "payment": f"pay_{_DIGITS}",
    "shipment": f"shp_{_DIGITS}",
    "next": None,
    "previous": None,
    "limit": 20,
    "cursor": "WyIyMDI2LTExLTI1Il0",
    "placed_after": TIME,
    "placed_before": TIME,
    "Idempotency-Key": "4f1c2f8e-order-4711",
    "If-Match": '"1-5f0c9d2ab17e44c1a03b6d58"',
    "If-None-Match": '"1-5f0c9d2ab17e44c1a03b6d58"',
    "Prefer": "wait=10",
}
"""What fields and parameters of a name stand for everywhere."""

PREFIXES = {
    "order": "ord",
    "payment": "pay",
    "shipment": "shp",
    "return": "ret",
    "invoice": "inv",
    "event": "evt",
    "webhook_endpoint": "whk",
    "account": "cus",
    "api_key": "key",
}
"""What the ids of an object begin with."""


class Examples:
    """Makes examples of schemas, some of which are `schemas` that others refer to by name."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def of(self, schema: Schema, name: str = "") -> Any:
        """Return an example of a schema; `name` is that of the field or parameter that has it."""
        for place in ("examples", "enum"):
            if place in schema:
                return schema[place][0]
        if "$ref" in schema:
            return self.of(self._schemas[schema["$ref"].rpartition("/")[2]])
        if name in NAMED:
            return NAMED[name]
        if "anyOf" in schema:
            return self.of(next((part for part in schema["anyOf"] if part.get("type") != "null"), {}), name)
        return self._by_type(schema)

    def _by_type(self, schema: Schema) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return [self.of(schema["items"])]
        if kind in ("integer", "number"):
            return schema.get("default", schema.get("minimum", 1))
        return schema.get("default", False) if kind == "boolean" else _text(schema)

    def _object(self, schema: Schema) -> dict[str, Any]:
        required = schema.get("required", ())
        made = {
            name: self._member(schema, name)
            for name, member in schema.get("properties", {}).items()
            if name in required or "examples" in member
        }
        return made or dict(schema.get("default", {}))

    def _member(self, schema: Schema, name: str) -> Any:
        member = schema["properties"][name]
        if name == "id" and "examples" not in member:
            kind = schema["properties"].get("object", {}).get("enum", [""])[0]
            return f"{PREFIXES[kind]}_{_DIGITS}" if kind in PREFIXES else NO_EXAMPLE
        return self.of(member, name)


def _text(schema: Schema) -> str:
    return TIME if schema.get("format") == "date-time" else str(schema.get("default", NO_EXAMPLE))


def path_example(name: str, description: str) -> Any:
    """Return an example of a part of the path; its description shows the prefix of an id, as in `ord_…`."""
    prefix = re.search(r"`([a-z]+)_…`", description)
    return f"{prefix[1]}_{_DIGITS}" if prefix else NAMED.get(name, NO_EXAMPLE)
