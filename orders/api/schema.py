"""How views describe themselves for the OpenAPI document; config/openapi.py completes what is common to all."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from orders.representations import Representation
from orders.requests import Request

F = TypeVar("F", bound=Callable[..., Any])

_described: dict[str, type] = {}

IDEMPOTENCY_KEY = "Your own text for this one request: 1 to 255 visible ASCII characters. Repeat it when you repeat."


def described_types() -> list[type]:
    """Return every type that a view showed or asked for."""
    return [_described[name] for name in sorted(_described)]


def reference_to(kind: type) -> dict[str, str]:
    """Return the reference to a type's schema, and have it described."""
    _described[kind.__name__] = kind
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def header(name: str, description: str, *, pattern: str = "", required: bool = False) -> OpenApiParameter:
    """Describe a header of the request."""
    schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, required=required, description=description)


def query(name: str, description: str, **schema: Any) -> OpenApiParameter:
    """Describe a query parameter; a text unless `schema` says otherwise."""
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.QUERY, description=description)


def path(name: str, description: str) -> OpenApiParameter:
    """Describe a part of the path."""
    return OpenApiParameter(name, {"type": "string"}, OpenApiParameter.PATH, description=description)


PAGING = (
    query("limit", "How many on a page.", type="integer", minimum=1, maximum=100, default=20),
    query("cursor", "From `next` or `previous`.", pattern="^[A-Za-z0-9_-]+$"),
)
API_KEY_ID = path("key_id", "The key's id, `key_…`.")
ENDPOINT_ID = path("endpoint_id", "The endpoint's id, `whk_…`.")
DELIVERY_ID = path("delivery_id", "The delivery's id, `whd_…`.")
EVENT_ID = path("event_id", "The event's id, `evt_…`.")
ORDER_ID = path("order_id", "The order's id, `ord_…`.")
RETURN_ID = path("return_id", "The return's id, `ret_…`.")
IF_NONE_MATCH = header("If-None-Match", "An ETag you have: 304 when nothing has changed.")
PREFER_WAIT = header("Prefer", "`wait=N`: answer when something has changed, after N seconds (up to 30) at the latest.")
KEY_REQUIRED = header("Idempotency-Key", IDEMPOTENCY_KEY, pattern="^[!-~]{1,255}$", required=True)
KEY_HONOURED = header("Idempotency-Key", IDEMPOTENCY_KEY, pattern="^[!-~]{1,255}$")
IF_MATCH = header(
    "If-Match",
    "The ETag or version you decided by.",
    pattern=r'^(\*|(W/)?"[0-9]{1,9}(-[0-9a-f]+)?"|[0-9]{1,9})$',
)


def documented(
    summary: str,
    *,
    operation: str,
    tag: str,
    shows: type[Representation],
    status: int = 200,
    asks: type[Request] | None = None,
    scope: str = "",
    parameters: Sequence[OpenApiParameter] = (),
    problems: Sequence[str] = (),
    streams: bool = False,
) -> Callable[[F], F]:
    """Describe a method of a view. `problems` are the codes it may answer with, beyond those of every call."""
    media = {"application/json": reference_to(shows)}
    answers: dict[Any, Any] = {
        (status, kind): OpenApiResponse(response=schema, description=(shows.__doc__ or "").strip())
        for kind, schema in media.items()
    }
    if streams:
        answers[status, "text/event-stream"] = OpenApiResponse(
            response={"type": "string"}, description="A stream of `progress` events until the order is final."
        )
    return extend_schema(
        operation_id=operation,
        summary=summary,
        tags=[tag],
        request={"application/json": reference_to(asks)} if asks else None,
        responses=answers,
        parameters=list(parameters),
        extensions={
            "x-problems": list(problems),
            "x-body-required": asks is not None and any(field.required for field in msgspec.structs.fields(asks)),
            **({"x-scope": scope} if scope else {}),
        },
    )
