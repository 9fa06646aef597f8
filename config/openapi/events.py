"""Events in the document: what each tells, in the feed and in webhooks."""

from typing import Any

from orders.public.contracts import PUBLIC, meaning_of
from orders.public.samples import sample_event
from outbox.contracts import Contract

Document = dict[str, Any]


def describe_events(result: Document) -> None:
    """Tell what `data` holds by the type of the event, and which events a webhook endpoint may be sent."""
    event = result["components"]["schemas"]["EventObject"]
    event["properties"]["data"]["anyOf"] = [
        {"$ref": f"#/components/schemas/{declared.cls.__name__}"} for declared in PUBLIC.values()
    ] + [{"type": "object", "description": "A test's."}]
    result["webhooks"] = {type_: {"post": _webhook(declared)} for type_, declared in PUBLIC.items()}


def _webhook(declared: Contract) -> Document:
    return {
        "operationId": declared.name.replace(".", "_"),
        "summary": meaning_of(declared),
        "tags": ["Events"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/EventObject"},
                    "example": sample_event(declared),
                }
            },
        },
        "responses": {
            "2XX": {"description": "You have it. Anything else, and an answer later than 10 s, is tried again."}
        },
    }
