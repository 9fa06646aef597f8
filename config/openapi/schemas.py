"""From msgspec's schemas to those that are published: readable, bounded, and exact about what is always there."""

from typing import Any

import msgspec

from orders.representations import Representation
from orders.requests import END

Schema = dict[str, Any]

LONGEST_TEXT = 65_536
"""No text is longer than the longest body that can be sent, and none that we write ourselves comes near it."""
MOST_ENTRIES = 10_000
LARGEST_INTEGER = 2**53 - 1
"""Every integer is exact in JavaScript, too."""


def published(name: str, schema: Schema) -> Schema:
    """Return the schema of the type `name` as the document shows it."""
    shown: Schema = _bounded(schema)
    if name in _always_whole():
        # These encode all their fields, also those that have a default.
        shown["required"] = list(shown.get("properties", ()))
    return shown


def _always_whole() -> set[str]:
    kinds: list[type[msgspec.Struct]] = [Representation]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return {kind.__name__ for kind in kinds if not kind.__struct_config__.omit_defaults}


def _bounded(schema: Any, name: str = "") -> Any:
    """Return a schema in which every text, list and number has bounds; `name` is that of the field that has it."""
    if isinstance(schema, list):
        return [_bounded(part, name) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # What is exactly the end of the text in Python is `$` for everybody else.
    shown = {key: value.replace(END, "$") if key == "pattern" else value for key, value in schema.items()}
    for key in ("items", "anyOf", "additionalProperties", "propertyNames"):
        if key in shown:
            shown[key] = _bounded(shown[key], name)
    if "properties" in shown:
        shown["properties"] = {field: _bounded(part, field) for field, part in shown["properties"].items()}
    return {**_bounds(shown, name), **shown}


def _bounds(schema: Schema, name: str) -> Schema:
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {"enum", "const"}:
        is_time = name == "at" or name.endswith("_at")
        return {"maxLength": LONGEST_TEXT, **({"format": "date-time"} if is_time else {})}
    if kind == "integer":
        return {"format": "int64", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}
    return {"maxItems": MOST_ENTRIES} if kind == "array" else {}
