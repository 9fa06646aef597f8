"""Every address of the API with every method, as the document lists them: nobody gets past the door unasked.

A new address is in these tests by itself. One with a new kind of id in it says in OWNED how such an object is made.
"""

import json
import re
from collections.abc import Callable
from itertools import product
from typing import NamedTuple
from uuid import uuid4

import pytest
from django.db.models import Model
from django.urls import get_resolver
from django.utils import timezone

from config.openapi import openapi_document
from orders.api_keys import issue_key
from orders.models import ApiKey, Order, PublicEvent
from orders.scopes import SCOPES
from outbox.publishing import unit_of_work
from tests.shop import TEA, Caller, delivered

pytestmark = pytest.mark.requirement("M43")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


class Route(NamedTuple):
    """One call of the API."""

    method: str
    path: str
    scope: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)


def routes() -> list[Route]:
    """Return every call that the document lists."""
    return [
        Route(method.upper(), path, "".join(call["security"][0]["apiKey"]))
        for path, calls in json.loads(openapi_document())["paths"].items()
        for method, call in calls.items()
    ]


ROUTES = routes()
PATHS = sorted({route.path for route in ROUTES})
WITH_IDS = [route for route in ROUTES if set(route.parameters) - {"sku"}]


def an_event(shop: Caller) -> str:
    order = Order.objects.get(id=shop.placed()["id"].removeprefix("ord_"))
    place = PublicEvent.objects.count() + 1
    event = PublicEvent.objects.create(
        id=uuid4(), customer=shop.customer, order=order, type="order.placed", version=1, sequence=place,
        position=place, occurred_at=timezone.now(), data={},
    )  # fmt: skip
    return event.public_id


def an_endpoint(shop: Caller) -> str:
    known = shop.get("webhook_endpoints").json()["data"]
    wish = {"url": "https://example.com/hooks", "events": ["*"]}
    return known[0]["id"] if known else shop.post("webhook_endpoints", wish).json()["id"]


def a_delivery(shop: Caller) -> str:
    """Of the endpoint that stands in the same address."""
    return shop.post(f"webhook_endpoints/{an_endpoint(shop)}/test").json()["id"]


def a_return(shop: Caller) -> str:
    order_id = delivered(shop, (TEA, 1))
    lines = [{"sku": TEA, "quantity": 1, "reason": "Too strong"}]
    answer = shop.post(f"orders/ord_{order_id.hex}/returns", {"lines": lines}, idempotency_key=str(uuid4()))
    return answer.json()["id"]


OWNED: dict[str, Callable[[Caller], str]] = {
    "return_id": a_return,
    "order_id": lambda shop: shop.placed()["id"],
    "key_id": lambda shop: shop.get("account").json()["api_key"]["id"],
    "event_id": an_event,
    "endpoint_id": an_endpoint,
    "delivery_id": a_delivery,
    "sku": lambda shop: TEA,
}
"""Makes an object of the customer's, or finds one, for each kind of id in an address; returns the id."""


def absent(name: str, own: str) -> str:
    """Return an id of the same kind that nobody has; what all customers share keeps its own."""
    return own if name == "sku" else f"{own.partition('_')[0]}_{uuid4().hex}"


def call(caller: Caller, route: Route, ids: dict[str, str], **headers: str):
    """Make the call with these ids in its address, and a body where it takes one."""
    return caller.http.generic(
        route.method,
        re.sub(r"{(\w+)}", lambda found: ids[found[1]], route.path),
        b"{}" if route.method in ("POST", "PUT", "PATCH") else b"",
        content_type="application/json",
        headers={"idempotency-key": str(uuid4()), **headers},
    )


def plain(response) -> dict:
    return {k: v for k, v in json.loads(response.content).items() if k not in ("instance", "correlation_id")}


def state_of(model: type[Model]) -> list[dict]:
    """Return all rows, but for when a key was used."""
    return [{**row, "last_used_at": None} for row in model.objects.order_by("pk").values()]


def nobodys(route: Route) -> dict[str, str]:
    return dict.fromkeys(route.parameters, f"x_{'0' * 32}")


def test_every_address_is_in_the_document_and_every_kind_of_id_in_the_table_above():
    patterns = {
        str(pattern.pattern) + str(inner.pattern)
        for pattern in get_resolver().url_patterns
        if str(pattern.pattern) == "api/v1/"
        for inner in pattern.url_patterns
    }
    told = {re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{pattern}") for pattern in patterns}
    assert told - {"/api/v1/openapi.json", "/api/v1/docs"} == set(PATHS)
    assert {name for route in ROUTES for name in route.parameters} == set(OWNED)


@pytest.mark.parametrize("route", WITH_IDS, ids=str)
def test_what_belongs_to_others_is_answered_like_what_never_was(shop, stranger, route):
    ids = {name: OWNED[name](shop) for name in route.parameters}
    before = [state_of(model) for model in (Order, ApiKey)]
    foreign = call(stranger, route, ids)
    none = call(stranger, route, {name: absent(name, own) for name, own in ids.items()})
    assert foreign.status_code in (404, 422), foreign.content  # 422: the body came first, whosever it was
    assert (none.status_code, plain(none)) == (foreign.status_code, plain(foreign))
    assert [state_of(model) for model in (Order, ApiKey)] == before
    assert call(shop, route, ids).status_code != 404


@pytest.mark.parametrize("path", [path for path in PATHS if "{" not in path])
def test_no_list_shows_anything_of_others(shop, stranger, path):
    ids = [make(shop) for name, make in OWNED.items() if name != "sku"]
    shown = stranger.http.get(path).content.decode()
    assert [own for own in [*ids, shop.customer.public_id, shop.key[:12]] if own in shown] == []


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_without_a_key_there_is_nothing_to_see(shop, route):
    del shop.http.defaults["HTTP_AUTHORIZATION"]
    response = call(shop, route, nobodys(route))
    assert (response.status_code, response.json()["code"]) == (401, "authentication_required")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope], ids=str)
def test_a_key_with_every_scope_but_the_one_is_told_which_is_missing(shop, route):
    others = [scope for scope in SCOPES if scope != route.scope]
    with unit_of_work():
        limited = Caller(shop.customer, issue_key(customer=shop.customer, name="Limited", scopes=others))
    response = call(limited, route, {name: OWNED[name](shop) for name in route.parameters})
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    assert response["WWW-Authenticate"] == f'Bearer realm="api", error="insufficient_scope", scope="{route.scope}"'


@pytest.mark.parametrize(
    "route",
    [
        Route(method, path, "")
        for path, method in product(PATHS, METHODS)
        if not any(known.path == path and known.method == method.replace("HEAD", "GET") for known in ROUTES)
    ],
    ids=str,
)
def test_a_method_that_is_not_there_is_refused_and_the_others_are_named(shop, route):
    response = call(shop, route, nobodys(route))
    assert response.status_code == 405
    if route.method != "HEAD":
        assert response.json()["code"] == "method_not_allowed"
    there = {known.method for known in ROUTES if known.path == route.path}
    assert set(response["Allow"].split(", ")) - {"HEAD"} == there


def document_of(route: Route) -> dict:
    return json.loads(openapi_document())["paths"][route.path][route.method.lower()]


def headers_of(route: Route) -> set[str]:
    return {each["name"] for each in document_of(route).get("parameters", ()) if each["in"] == "header"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"], ids=str)
def test_every_post_honours_an_idempotency_key(shop, route):
    assert "Idempotency-Key" in headers_of(route)
    ids = {name: OWNED[name](shop) for name in route.parameters}
    malformed = call(shop, route, ids, **{"idempotency-key": "k" * 256})
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed_request")
    first, again = (call(shop, route, ids, **{"idempotency-key": "k"}) for _ in range(2))
    if first.status_code < 300:
        assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
        kept = {name: again[name] for name in ("Location", "ETag", "Cache-Control") if name in first}
        assert kept == {name: first[name] for name in kept}
        assert kept


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method in ("PUT", "PATCH", "DELETE")], ids=str)
def test_every_change_of_an_object_may_ask_for_the_version_it_was_decided_by(shop, route):
    assert "If-Match" in headers_of(route)
    response = call(shop, route, {name: OWNED[name](shop) for name in route.parameters}, **{"if-match": '"999"'})
    assert (response.status_code, response.json()["code"]) == (412, "version_conflict")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=str)
def test_every_read_spares_who_has_it_already_the_body(shop, route):
    assert "If-None-Match" in headers_of(route)
    ids = {name: OWNED[name](shop) for name in route.parameters}
    shown = call(shop, route, ids)
    again = call(shop, route, ids, **{"if-none-match": shown["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", shown["ETag"])
    assert call(shop, route, ids, **{"if-none-match": '"other", W/' + shown["ETag"]}).status_code == 304
    assert call(shop, route, ids, **{"if-none-match": '"other"'}).status_code == 200


INTERNALS = re.compile(rb"Traceback|File \"|\.py\b|psycopg|django|SELECT |orders_|outbox_", re.IGNORECASE)
KEPT_FROM_SHARED_CACHES = ("no-store", "private, no-cache")


@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_carries_its_headers_and_no_problem_tells_of_the_inside(shop, route, known):
    caller = shop if known else Caller(shop.customer, "tdm_wrong")
    response = call(caller, route, {name: OWNED[name](shop) for name in route.parameters})
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert response["X-Correlation-ID"]
    assert response["Cache-Control"] in KEPT_FROM_SHARED_CACHES
    assert "Authorization" in response["Vary"]
    assert "Set-Cookie" not in response
    assert ("RateLimit" in response) == known
    problem = response.status_code >= 400
    assert response["Content-Type"] == ("application/problem+json" if problem else "application/json")
    if problem:
        assert not INTERNALS.search(response.content)
