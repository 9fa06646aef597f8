"""The customers' door as a whole: its addresses, its documents, and its answers where no view answers."""

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path
from django.views import defaults
from django.views.decorators.http import require_safe

from config.errors import answer, respond
from config.openapi import openapi_document
from config.openapi.calls import PREPARED, calls_of
from config.openapi.problem_examples import problem_example
from config.problems import PROBLEMS
from orders.urls import api_urls as order_urls
from orders.versions import CHANGES, FIRST

API = "/api/"


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """Show the OpenAPI document."""
    return HttpResponse(openapi_document(), content_type="application/json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the API's documentation, from files of our own: it works without the internet."""
    return render(request, "docs/api.html", {"schema_url": "/api/v1/openapi.json"})


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """List every kind of problem."""
    return render(request, "docs/problems/index.html", {"problems": PROBLEMS.values()})


@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """Explain one kind of problem: where the `type` of a problem leads."""
    if code not in PROBLEMS:
        raise Http404(f"There is no problem {code}")
    kind = PROBLEMS[code]
    # Every second part between backquotes is code.
    parts: dict[str, Any] = {"meaning": kind.meaning.split("`"), "remedy": kind.remedy.split("`")}
    parts["example"] = json.dumps(problem_example(code), indent=2, ensure_ascii=False)
    return render(request, "docs/problems/problem.html", {"problem": kind, **parts})


@require_safe
def calls(request: HttpRequest) -> HttpResponse:
    """Show every call with curl and in Python."""
    shown = calls_of(json.loads(openapi_document()))
    return render(request, "docs/calls.html", {"calls": shown, "prepared": PREPARED})


@require_safe
def changelog(request: HttpRequest) -> HttpResponse:
    """Tell what changed in the form of answers, version by version."""
    changes = [{"version": change.version, "told": [text.split("`") for text in change.told]} for change in CHANGES]
    return render(request, "docs/changelog.html", {"changes": changes, "first": FIRST})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what Django could not read."""
    return answer(exception, request) if request.path.startswith(API) else defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an address that does not exist."""
    if not request.path.startswith(API):
        return defaults.page_not_found(request, exception)
    return respond(PROBLEMS["not_found"], request, f"There is nothing at {request.path[:200]}.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer when something broke outside a view; Django has logged it."""
    if request.path.startswith(API):
        return respond(PROBLEMS["internal_error"], request)
    return defaults.server_error(request)


api_urls: list[Any] = [
    *order_urls,
    path("openapi.json", openapi, name="openapi"),
    path("docs", docs, name="api-docs"),
]
docs_urls: list[Any] = [
    path("docs", docs, name="docs"),
    path("docs/calls", calls, name="calls"),
    path("docs/changelog", changelog, name="changelog"),
    path("docs/problems", problems, name="problems"),
    path("docs/problems/<str:code>", problem, name="problem"),
]
