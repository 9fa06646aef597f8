"""Every answer that is not a success is a problem that names itself."""

import json
from unittest import mock
from uuid import UUID

import msgspec
import pytest
from django.db import OperationalError

from config.errors import CODES
from config.problems import PROBLEMS
from orders.api.reading import MAX_BYTES
from orders.models import Order
from orders.representations import Problem
from tests.shop import order_of

STATUS = {
    "malformed_request": 400, "idempotency_key_required": 400, "invalid_cursor": 400, "unknown_version": 400,
    "authentication_required": 401, "invalid_key": 401,
    "request_timeout": 408, "headers_too_large": 431,
    "insufficient_scope": 403, "not_found": 404, "method_not_allowed": 405, "not_acceptable": 406,
    "insufficient_stock": 409, "total_changed": 409, "order_not_cancellable": 409, "idempotency_in_progress": 409,
    "version_conflict": 412, "payload_too_large": 413, "unsupported_media_type": 415,
    "validation_failed": 422, "unknown_sku": 422, "idempotency_key_reused": 422,
    "rate_limited": 429, "internal_error": 500, "service_degraded": 503,
}  # fmt: skip


def is_problem(response, code: str) -> dict:
    assert response["Content-Type"] == "application/problem+json"
    problem = msgspec.json.decode(response.content, type=Problem)
    assert problem.code == code
    assert response.status_code == problem.status == STATUS[code]
    assert problem.type == f"http://testserver/docs/problems/{code}"
    assert problem.title == PROBLEMS[code].title
    assert problem.detail
    assert problem.correlation_id == str(UUID(response["X-Correlation-ID"]))
    return json.loads(response.content)


def test_codes_have_the_statuses_that_clients_rely_on():
    assert {code: problem.status for code, problem in PROBLEMS.items()} == STATUS
    assert {code for _, code in CODES} <= set(PROBLEMS)


def test_no_row_of_the_table_is_hidden_behind_an_earlier_one():
    for place, (kind, code) in enumerate(CODES):
        assert all(not issubclass(kind, earlier) or code == seen for earlier, seen in CODES[:place]), kind


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nope", "/api/v2/orders", "/api/v1/orders/", "/api/v1/ord%00"]
)
def test_an_address_that_does_not_exist(shop, path):
    assert is_problem(shop.get(path), "not_found")["instance"].startswith("/api/")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "orders"), ("DELETE", "orders"), ("PATCH", "orders"), ("OPTIONS", "orders"), ("POST", "products"),
     ("POST", "account"), ("GET", f"orders/ord_{'0' * 32}/cancellation"), ("TRACE", "orders")],
)  # fmt: skip
def test_a_method_that_is_not_there(shop, method, path):
    response = shop.http.generic(method, f"/api/v1/{path}")
    is_problem(response, "method_not_allowed")
    assert response["Allow"]


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "image/*"])
def test_a_form_that_cannot_be_given(shop, accept):
    is_problem(shop.get("orders", accept=accept), "not_acceptable")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/*", "text/html, application/json;q=0.5"])
def test_json_is_given_to_whoever_takes_it(shop, accept):
    assert shop.get("orders", accept=accept).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"],
)
def test_a_body_that_is_not_json(shop, content_type):
    response = shop.http.post("/api/v1/orders", b"a=1", content_type=content_type, headers={"idempotency-key": "k"})
    is_problem(response, "unsupported_media_type")


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(shop):
    body = json.dumps(order_of()).encode()
    fits = body + b" " * (MAX_BYTES - len(body))
    assert shop.post("orders", fits, idempotency_key="a").status_code == 201
    is_problem(shop.post("orders", fits + b" ", idempotency_key="b"), "payload_too_large")
    is_problem(shop.post("orders", b"x" * 3_000_000, idempotency_key="b"), "payload_too_large")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 60_000, b'{"a":1,"a":2}', b'{"currency": NaN}', b'{"currency": "\\u0000"}',
     b'{"currency": "\\ud800"}', b'{"lines": ' + b"9" * 5_000 + b"}", b"\xff", b"[]", b"null", b"1", b'"x"'],
)  # fmt: skip
def test_a_body_that_cannot_be_read(shop, body):
    is_problem(shop.post("orders", body, idempotency_key="k"), "malformed_request")
    assert not Order.objects.exists()


def test_a_host_that_is_not_ours(shop, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    response = shop.get("orders", host="evil.example")
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
    assert "evil.example" not in response.json()["type"]


def test_what_nobody_expected_is_our_fault_and_tells_nothing_of_the_inside(shop):
    with mock.patch("orders.services.place_order", side_effect=RuntimeError("secret inside")):
        response = shop.place()
    is_problem(response, "internal_error")
    assert b"secret" not in response.content


def test_a_database_that_is_away_is_a_degraded_service(shop):
    with mock.patch("orders.services.place_order", side_effect=OperationalError("lock timeout")):
        response = shop.place()
    is_problem(response, "service_degraded")
    assert response["Retry-After"] == "5"


def test_what_fails_outside_the_view_is_a_problem_too(shop):
    with mock.patch("orders.api.catalogue.AccountView.dispatch", side_effect=RuntimeError("boom")):
        is_problem(shop.get("account"), "internal_error")


@pytest.mark.parametrize("code", STATUS)
def test_every_problem_has_a_page_that_explains_it(client, code):
    response = client.get(f"/docs/problems/{code}")
    assert response.status_code == 200
    page = response.content.decode()
    assert PROBLEMS[code].title in page
    explained, _, shown = page.partition("<h2>An answer with it</h2>")
    assert "`" not in explained
    assert f"&quot;code&quot;: &quot;{code}&quot;" in shown


def test_a_problem_that_does_not_exist_has_no_page(client):
    assert client.get("/docs/problems/nope").status_code == 404


def test_the_list_of_problems_names_all(client):
    page = client.get("/docs/problems").content.decode()
    assert all(code in page for code in PROBLEMS)
