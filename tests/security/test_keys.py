"""API keys: who may come in."""

import json
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from orders.api_keys import issue_key
from orders.models import ApiKey
from outbox.publishing import unit_of_work
from tests.shop import Caller, make_caller


def test_without_a_key_nothing_is_shown(shop):
    del shop.http.defaults["HTTP_AUTHORIZATION"]
    response = shop.get("account")
    assert (response.status_code, response.json()["code"]) == (401, "authentication_required")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dGRtOng=", "tdm_abc", "Token x"])
def test_another_scheme_is_no_authentication(shop, header):
    response = shop.get("account", authorization=header)
    assert (response.status_code, response.json()["code"]) == (401, "authentication_required")


def forged(key: str) -> list[str]:
    swapped = key[:-1] + ("a" if key[-1] != "a" else "b")
    return [
        "tdm_",
        "x",
        swapped,
        key + "a",
        key[:12],
        key.upper(),
        key + "\x00",
        "tdm_ä" + key[5:],
        "'; --",
        "k" * 5_000,
    ]


def test_a_key_that_is_wrong_in_any_way_is_answered_alike(shop):
    answers = set()
    for key in forged(shop.key):
        response = shop.get("account", authorization=f"Bearer {key}")
        problem = response.json()
        answers.add((response.status_code, problem["code"], problem["detail"]))
    assert len(answers) == 1
    assert answers.pop()[:2] == (401, "invalid_key")


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_revoked_or_expired_key_is_refused_on_the_next_request(shop, change):
    assert shop.get("account").status_code == 200
    ApiKey.objects.update(**{change: timezone.now() - timedelta(seconds=1)})
    assert shop.get("account").json()["code"] == "invalid_key"


def test_a_key_that_expires_later_works(db):
    caller = make_caller("Later", expires_at=timezone.now() + timedelta(minutes=1))
    assert caller.get("account").status_code == 200


def test_the_database_holds_no_key(shop):
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM orders_apikey AS k")
        [(row,)] = cursor.fetchall()
    assert shop.key[12:] not in row
    assert shop.key[:12] in row


def test_two_keys_live_side_by_side_for_rotation(shop):
    with unit_of_work():
        second = Caller(shop.customer, issue_key(customer=shop.customer, name="Second"))
    assert shop.get("account").status_code == second.get("account").status_code == 200
    ApiKey.objects.filter(name="Test").update(revoked_at=timezone.now())
    assert (shop.get("account").status_code, second.get("account").status_code) == (401, 200)


def test_the_last_use_is_noted_once_a_minute(shop):
    def last_used():
        return ApiKey.objects.get().last_used_at

    shop.get("account")
    first = last_used()
    shop.get("account")
    assert last_used() == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    shop.get("account")
    assert last_used() >= first


def test_a_wrong_secret_does_not_count_as_a_use(shop):
    shop.get("account", authorization=f"Bearer {shop.key[:-1]}!")
    assert ApiKey.objects.get().last_used_at is None


CALLS = {
    "orders:read": ["GET orders", "GET orders/ID", "GET orders/ID/progress", "GET orders/ID/timeline",
                    "GET orders/ID/shipments"],
    "orders:write": ["POST orders", "POST orders/ID/cancellation"],
    "payments:read": ["GET orders/ID/payments"],
}  # fmt: skip


@pytest.mark.parametrize("scope", CALLS)
def test_a_key_does_what_its_scope_allows_and_nothing_else(shop, scope):
    order = shop.placed()["id"]
    with unit_of_work():
        limited = Caller(shop.customer, issue_key(customer=shop.customer, name="Limited", scopes=[scope]))
    for needed, calls in CALLS.items():
        for call in calls:
            method, path = call.replace("ID", order).split(" ")
            response = (
                limited.get(path) if method == "GET" else limited.place() if path == "orders" else limited.post(path)
            )
            if needed == scope:
                assert response.status_code in (200, 201, 202), call
            else:
                assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope"), call
                assert needed in response.json()["detail"]
                assert f'scope="{needed}"' in response["WWW-Authenticate"]
    assert limited.get("products").status_code == limited.get("account").status_code == 200


def test_a_scope_that_does_not_exist_cannot_be_given(shop):
    with pytest.raises(ValueError, match="no scope orders:burn"), unit_of_work():
        issue_key(customer=shop.customer, name="x", scopes=["orders:burn"])


def test_no_log_line_holds_a_key_and_none_is_broken_by_what_was_sent(shop, capfd):
    wrong = "tdm_Wr0ngWr0_" + "canary" * 7
    shop.get("account")
    shop.get("account", authorization=f"Bearer {wrong}")
    shop.get("orders/ord_%0d%0a{%22event%22:%22forged%22}", x_correlation_id='x"\n{"event":"forged"}')
    shop.post("api_keys", {"name": "Till", "scopes": ["orders:read"]}, idempotency_key="k")
    with mock.patch("orders.api_keys.create_key", side_effect=RuntimeError("boom")):
        shop.post("api_keys", {"name": "Till", "scopes": ["orders:read"]})
    logged = capfd.readouterr().err
    assert shop.key[13:] not in logged
    assert "canary" not in logged
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert {line["path"] for line in lines if line["event"] == "request"} >= {"/api/v1/account", "/api/v1/api_keys"}
    assert "forged" not in {line["event"] for line in lines}
