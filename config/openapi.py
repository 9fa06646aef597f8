"""Completes the OpenAPI document: schemas from the door's own types, and what all calls have in common."""

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

from config.problems import PROBLEMS
from orders.api.schema import described_types, reference_to
from orders.public.contracts import PUBLIC, meaning_of
from orders.public.samples import sample_event
from orders.representations import Problem
from orders.requests import END
from orders.scopes import SCOPES
from outbox.contracts import Contract

Document = dict[str, Any]

EVERY_CALL = (
    "authentication_required",
    "invalid_key",
    "not_acceptable",
    "rate_limited",
    "headers_too_large",
    "internal_error",
    "service_degraded",
)
WITH_BODY = ("malformed_request", "request_timeout", "payload_too_large", "unsupported_media_type", "validation_failed")
LIMITS = ("RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
HEADERS = {
    "X-Correlation-ID": "Quote it when you ask about this call. Send a UUID of your own to choose it.",
    "ETag": "Names this representation; for If-None-Match, and If-Match.",
    "Location": "The new object.",
    "Idempotent-Replayed": "`true` when this is the remembered answer to an earlier request with the same key.",
    "Preference-Applied": "`wait=N` when the answer was waited for.",
    "RateLimit": "What is left: `r` requests, all of them again in `t` seconds; per limit, the narrowest first.",
    "RateLimit-Policy": "The limits: `q` requests within `w` seconds, for the customer and, where it has one, the key.",
    "RateLimit-Limit": "The narrowest limit, in requests a second.",
    "RateLimit-Remaining": "What is left of it.",
    "RateLimit-Reset": "Seconds until all of it is there again.",
    "Retry-After": "Seconds to wait before the next try.",
}


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
    """Add schemas, problems and headers to the generated document."""
    reference_to(Problem)
    for declared in PUBLIC.values():
        reference_to(declared.cls)
    components = result.setdefault("components", {})
    _, schemas = msgspec.json.schema_components(described_types(), ref_template="#/components/schemas/{name}")
    components["schemas"] = {name: _readable(schemas[name]) for name in sorted(schemas)}
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()
    }
    _describe_events(result)
    for operation in _operations(result):
        _complete(operation)
    return result


def _describe_events(result: Document) -> None:
    """Tell what `data` holds by the type of the event, and which events a webhook endpoint may be sent."""
    schemas = result["components"]["schemas"]
    event = schemas["EventObject"]
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


def _operations(result: Document) -> Iterator[Document]:
    for path in result["paths"].values():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in path:
                yield path[method]


def _complete(operation: Document) -> None:
    body_required = operation.pop("x-body-required", False)
    codes = {*EVERY_CALL, *operation.pop("x-problems", ())}
    if operation.get("x-scope"):
        codes.add("insufficient_scope")
        operation["description"] = f"Needs the scope `{operation['x-scope']}`."
        operation["security"] = [{"apiKey": [operation["x-scope"]]}]
    if "requestBody" in operation:
        operation["requestBody"]["required"] = body_required
        codes.update(WITH_BODY)
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "Idempotency-Key" in names:
        codes.update(("malformed_request", "idempotency_in_progress", "idempotency_key_reused"))
    responses = operation["responses"]
    for status, response in responses.items():
        wanted = ["X-Correlation-ID", "ETag", *LIMITS]
        wanted += ["Location"] if status == "201" else []
        wanted += ["Idempotent-Replayed"] if "Idempotency-Key" in names else []
        response["headers"] = _headers(*wanted)
        response["headers"] |= _headers("Preference-Applied") if "Prefer" in names else {}
    if "If-None-Match" in names:
        headers = _headers("X-Correlation-ID", "ETag", *LIMITS)
        responses["304"] = {"description": "Nothing has changed.", "headers": headers}
    responses.update(_problem_responses(codes))


def _problem_responses(codes: set[str]) -> Document:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        by_status[PROBLEMS[code].status].append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in of_status),
            "headers": _headers("X-Correlation-ID", *_retry_after(of_status)),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, of_status in sorted(by_status.items())
    }


def _retry_after(codes: list[str]) -> list[str]:
    return ["Retry-After"] if any(PROBLEMS[code].retry_after for code in codes) else []


def _headers(*names: str) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _readable(schema: Any) -> Any:
    """Return a schema with the exact end of text written the usual way."""
    if isinstance(schema, dict):
        return {
            key: value.replace(END, "$") if key == "pattern" and isinstance(value, str) else _readable(value)
            for key, value in schema.items()
        }
    return [_readable(part) for part in schema] if isinstance(schema, list) else schema
