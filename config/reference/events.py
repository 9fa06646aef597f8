"""The catalogue of public events: every type that customers are told, with its fields and a sample."""

from collections.abc import Mapping
from typing import Any

import msgspec

from config.reference.tables import NOTE, table
from orders.public.contracts import PUBLIC, meaning_of
from orders.public.samples import sample_event
from outbox.contracts import Contract

HEAD = """# Events for customers

What `GET /api/v1/events` lists and webhooks bring, the same objects in both. How to get them is told in
[Receive webhooks](../how-to/receive-webhooks.md).

| member | meaning |
| --- | --- |
| `id` | `evt_…`, the same however often it is delivered |
| `type`, `version` | the contract that says what `data` holds |
| `order` | the order it is about |
| `sequence` | counts up within the order from 1, without gaps |
| `occurred_at` | when it happened; `created_at`: when it was written to the feed |
| `data` | see below |

A published version of a type never changes: what it says may become a new version, which is announced first. The JSON
Schemas of `data`, of every version ever published, are in [events/](events/). Types may be added: ignore those that you
do not know. Events carry ids and amounts, never names or addresses; read the order for those.

"""


def events_page() -> str:
    """Return events.md."""
    rows = [(f"[`{name}`](#{name.replace('.', '')})", meaning_of(declared)) for name, declared in PUBLIC.items()]
    return "".join([NOTE, HEAD, table(("type", "meaning"), rows), *(_section(each) for each in PUBLIC.values())])


def _section(declared: Contract) -> str:
    schema = declared.schema()
    fields = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
    rows = [(f"`{name}`", _type(field), str(field.get("description", ""))) for name, field in fields.items()]
    sample = msgspec.json.format(msgspec.json.encode(sample_event(declared)), indent=2).decode()
    version = f"Version {declared.version} ([schema](events/{declared.name}.v{declared.version}.json))."
    about = f"{meaning_of(declared)}\n\n{version}"
    head = ("member of `data`", "type", "meaning")
    return f"\n## {declared.name}\n\n{about}\n\n{table(head, rows)}\n```json\n{sample}\n```\n"


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return "money"
    if "anyOf" in field:
        return " or ".join(_type(kind) for kind in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return str(field.get("type", ""))
