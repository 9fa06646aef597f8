"""Gives every request its correlation id, and every answer the id to quote when something went wrong."""

import time
from collections.abc import Callable
from uuid import UUID

import structlog
from django.http import HttpRequest, HttpResponse
from uuid_utils.compat import uuid7

from outbox.context import scope

log = structlog.get_logger("tandem.http")


def correlation_id_of(request: HttpRequest) -> UUID:
    """Return the caller's X-Correlation-ID when it is a UUID, else a new one."""
    try:
        return UUID(request.headers.get("X-Correlation-ID", ""))
    except ValueError:
        return uuid7()


class CorrelationMiddleware:
    """Opens the context that messages and log lines of this request inherit."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        correlation_id = correlation_id_of(request)
        started = time.perf_counter()
        with scope(correlation_id=correlation_id):
            response = self.get_response(request)
            response["X-Correlation-ID"] = str(correlation_id)
            if not request.path.startswith(("/health/", "/metrics", "/static/")):
                log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    ms=round((time.perf_counter() - started) * 1000, 1),
                )
        return response
