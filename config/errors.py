"""ONE table from the domains' errors to the problems that the customers' door answers with.

Domains raise their own errors and know no HTTP; what the problems say is in config/problems.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from rest_framework import exceptions as drf
from structlog import get_logger

from config.problems import PROBLEMS, ProblemType
from fulfillment.errors import InsufficientStock
from orders import errors as orders
from orders.representations import Fault, Problem, ShortageObject
from orders.serializers import money
from outbox import idempotency
from outbox.context import current

log = get_logger("tandem.api")


CODES: tuple[tuple[type[BaseException], str], ...] = (
    (orders.AuthenticationRequired, "authentication_required"),
    (orders.InvalidKey, "invalid_key"),
    (orders.InsufficientScope, "insufficient_scope"),
    (orders.RateLimited, "rate_limited"),
    (orders.NotFound, "not_found"),
    (orders.InvalidCursor, "invalid_cursor"),
    (orders.UnknownVersion, "unknown_version"),
    (orders.IdempotencyKeyRequired, "idempotency_key_required"),
    (orders.MalformedRequest, "malformed_request"),
    (orders.PayloadTooLarge, "payload_too_large"),
    (orders.UnknownSku, "unknown_sku"),
    (orders.ValidationFailed, "validation_failed"),
    (orders.TotalChanged, "total_changed"),
    (orders.OrderNotCancellable, "order_not_cancellable"),
    (orders.VersionConflict, "version_conflict"),
    (InsufficientStock, "insufficient_stock"),
    (idempotency.KeyInProgress, "idempotency_in_progress"),
    (idempotency.KeyTaken, "idempotency_in_progress"),
    (idempotency.KeyReused, "idempotency_key_reused"),
    (drf.NotAuthenticated, "authentication_required"),
    (drf.AuthenticationFailed, "invalid_key"),
    (drf.PermissionDenied, "insufficient_scope"),
    (PermissionDenied, "insufficient_scope"),
    (drf.NotFound, "not_found"),
    (Http404, "not_found"),
    (drf.MethodNotAllowed, "method_not_allowed"),
    (drf.NotAcceptable, "not_acceptable"),
    (drf.UnsupportedMediaType, "unsupported_media_type"),
    (drf.ParseError, "malformed_request"),
    (RequestDataTooBig, "payload_too_large"),
    (DisallowedHost, "malformed_request"),
    (SuspiciousOperation, "malformed_request"),
    (MultiPartParserError, "malformed_request"),
    (UnreadablePostError, "malformed_request"),
    (OperationalError, "service_degraded"),
    (InterfaceError, "service_degraded"),
)
"""The first row whose class fits decides, so subclasses come before their parents."""

_OWN_WORDS = (orders.OrdersError, InsufficientStock, idempotency.IdempotencyError)


def problem_type_of(error: BaseException) -> ProblemType:
    """Return the kind of problem an error is; `internal_error` for what nobody expected."""
    code = next((code for kind, code in CODES if isinstance(error, kind)), "internal_error")
    return PROBLEMS[code]


def problem_details(error: BaseException, context: Mapping[str, Any]) -> HttpResponse:
    """Answer an error raised in an API view (the exception handler of REST framework)."""
    return answer(error, context["request"])


def answer(error: BaseException, request: HttpRequest) -> HttpResponse:
    """Answer an error with its problem."""
    kind = problem_type_of(error)
    if kind.status >= 500:
        log.error("request_failed", code=kind.code, path=request.path, exc_info=error)
    detail = str(error) if isinstance(error, _OWN_WORDS) else f"{kind.meaning} {kind.remedy}"
    response = respond(kind, request, detail, **_members(error))
    if isinstance(error, orders.RateLimited):
        response["Retry-After"] = str(max(1, math.ceil(error.seconds)))
    challenge = _challenge(kind, error)
    if challenge:
        response["WWW-Authenticate"] = challenge
    return response


def _challenge(kind: ProblemType, error: BaseException) -> str:
    """Return what RFC 6750 wants to be told to those who may not: which scheme, and which scope is missing."""
    if kind.status == 401:
        return 'Bearer realm="api"' + (', error="invalid_token"' if kind.code == "invalid_key" else "")
    if isinstance(error, orders.InsufficientScope):
        return f'Bearer realm="api", error="insufficient_scope", scope="{" ".join(error.missing)}"'
    return ""


def respond(kind: ProblemType, request: HttpRequest, detail: str = "", **members: Any) -> HttpResponse:
    """Return the answer that tells of a problem, as RFC 9457 writes it."""
    correlation_id = current().correlation_id
    problem = Problem(
        type=f"{_origin(request)}/docs/problems/{kind.code}",
        title=kind.title,
        status=kind.status,
        code=kind.code,
        detail=detail or f"{kind.meaning} {kind.remedy}",
        instance=request.path,
        correlation_id=str(correlation_id) if correlation_id else None,
        **members,
    )
    response = HttpResponse(msgspec.json.encode(problem), status=kind.status, content_type="application/problem+json")
    if kind.retry_after is not None:
        response["Retry-After"] = str(kind.retry_after)
    return response


def _origin(request: HttpRequest) -> str:
    try:
        return f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return ""


def _members(error: BaseException) -> dict[str, Any]:
    if isinstance(error, orders.ValidationFailed):
        return {"errors": [Fault(pointer=e.pointer, code=e.code, detail=e.detail) for e in error.errors]}
    if isinstance(error, InsufficientStock):
        shortages = [ShortageObject(sku=s.sku, requested=s.requested, available=s.available) for s in error.shortages]
        return {"shortages": shortages}
    if isinstance(error, orders.UnknownVersion):
        return {"versions": list(error.known)}
    if isinstance(error, orders.TotalChanged):
        return {"total": money(error.actual, error.currency)}
    return {}
