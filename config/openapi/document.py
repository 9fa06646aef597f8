"""The whole document: generated from the views, completed from the door's own types."""

from functools import lru_cache
from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

from config.openapi.events import describe_events
from config.openapi.examples import Examples
from config.openapi.headers import HEADERS
from config.openapi.links import add_links
from config.openapi.operations import complete_operation, operations_of
from config.openapi.schemas import published
from orders.api.schema import described_types, reference_to
from orders.public.contracts import PUBLIC
from orders.representations import Problem
from orders.scopes import SCOPES
from orders.versions import CURRENT

Document = dict[str, Any]


@lru_cache(maxsize=1)
def openapi_document() -> bytes:
    """Return the OpenAPI document, made once per process."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return OpenApiJsonRenderer().render(schema, renderer_context={})


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells how callers authenticate."""

    target_class = "orders.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> Document:
        """Return the security scheme."""
        scopes = "\n".join(f"- `{scope}`: {meaning}" for scope, meaning in SCOPES.items())
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "tdm_…",
            "description": f"An API key. Keys carry scopes:\n{scopes}",
        }


def complete(result: Document, generator: Any, request: Any, public: bool) -> Document:
    """Add schemas, problems, headers, examples and links to the generated document."""
    reference_to(Problem)
    for declared in PUBLIC.values():
        reference_to(declared.cls)
    components = result.setdefault("components", {})
    _, schemas = msgspec.json.schema_components(described_types(), ref_template="#/components/schemas/{name}")
    components["schemas"] = {name: published(name, schemas[name]) for name in sorted(schemas)}
    components["headers"] = HEADERS
    result["info"]["version"] = CURRENT
    describe_events(result)
    examples = Examples(components["schemas"])
    for _, path, operation in operations_of(result):
        complete_operation(path, operation, examples)
    add_links(result)
    result["tags"] = [{"name": name, "description": TAGS.get(name, "")} for name in _tags(result)]
    return result


TAGS = {
    "Account": "The caller itself, and its API keys.",
    "Catalogue": "What can be ordered, at which price, and how much of it there is.",
    "Orders": "Placing orders, following and cancelling them.",
    "Payments": "What was authorised, captured and refunded.",
    "Shipments": "The parcels of an order.",
    "Returns": "Sending goods back.",
    "Invoices": "Invoices, also as PDF.",
    "Events": "Everything that happens to the caller's orders, complete and in order.",
    "Webhooks": "Being told of events by a request to an address of one's own.",
}
"""What each group of calls is about."""


def _tags(result: Document) -> list[str]:
    return sorted({tag for _, _, operation in operations_of(result) for tag in operation["tags"]})
