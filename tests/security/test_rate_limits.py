"""Limits of customers, keys and addresses, in the headers of every answer and shared by all processes."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from orders import rate_limits
from orders.api_keys import issue_key
from orders.callers import ASKED_AGAIN, ASKED_AGAIN_MARK
from orders.models import ApiKey, Customer, RateBucket
from outbox.publishing import unit_of_work
from tests.shop import Caller

pytestmark = pytest.mark.requirement("M43")

WRONG = "tdm_Zz0Zz0Zz_" + "x" * 43


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """A process that has taken nothing yet."""
    monkeypatch.setattr(rate_limits, "meter", rate_limits.Meter())


def another_process(monkeypatch) -> None:
    monkeypatch.setattr(rate_limits, "meter", rate_limits.Meter())


def stop_filling() -> None:
    """Let no time pass for the buckets: their last filling lies ahead."""
    RateBucket.objects.update(filled_at=F("filled_at") + timedelta(minutes=5))


def is_refused(response) -> bool:
    if response.status_code != 429:
        return False
    assert response.json()["code"] == "rate_limited"
    assert response["Content-Type"] == "application/problem+json"
    assert int(response["Retry-After"]) >= 1
    return True


def test_every_answer_tells_what_is_left(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 200
    for response in (
        shop.get("orders"),
        shop.get("orders/ord_x"),
        shop.post("orders", {}),
        shop.placed and shop.get("account"),
    ):
        assert response["RateLimit-Policy"] == '"customer";q=200;w=1'
        assert re.fullmatch(r'"customer";r=1\d\d;t=1', response["RateLimit"])
        assert (response["RateLimit-Limit"], response["RateLimit-Reset"]) == ("200", "1")
        assert 150 < int(response["RateLimit-Remaining"]) < 200


def test_beyond_the_limit_a_customer_is_refused_and_told_when_to_come_again(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 5
    shop.get("account")
    stop_filling()
    answers = [shop.get("account") for _ in range(8)]
    assert [response.status_code for response in answers] == [200] * 4 + [429] * 4
    refused = answers[-1]
    assert is_refused(refused)
    assert "5 requests a second" in refused.json()["detail"]
    assert (refused["RateLimit-Remaining"], refused["RateLimit-Limit"]) == ("0", "5")


def test_all_processes_and_all_keys_of_a_customer_spend_from_one_bucket(shop, settings, monkeypatch):
    settings.RATE_LIMIT_PER_SECOND = 5
    with unit_of_work():
        colleague = Caller(shop.customer, issue_key(customer=shop.customer, name="Second"))
    shop.get("account")
    stop_filling()
    assert [shop.get("account").status_code for _ in range(2)] == [200, 200]
    another_process(monkeypatch)
    assert [colleague.get("account").status_code for _ in range(3)] == [200, 200, 429]


def test_another_customer_has_a_bucket_of_its_own(shop, stranger, settings):
    settings.RATE_LIMIT_PER_SECOND = 1
    shop.get("account")
    stop_filling()
    assert is_refused(shop.get("account"))
    assert stranger.get("account").status_code == 200


def test_time_fills_the_bucket_again_by_the_databases_clock(shop, settings, monkeypatch):
    settings.RATE_LIMIT_PER_SECOND = 2
    shop.get("account")
    stop_filling()
    shop.get("account")
    assert is_refused(shop.get("account"))
    another_process(monkeypatch)
    RateBucket.objects.update(filled_at=F("filled_at") - timedelta(minutes=5, seconds=1))
    assert [shop.get("account").status_code for _ in range(2)] == [200, 200]


def test_a_key_may_have_a_narrower_limit_than_its_customer(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 200
    ApiKey.objects.update(rate_limit=2)
    response = shop.get("account")
    assert response["RateLimit-Policy"] == '"key";q=2;w=1, "customer";q=200;w=1'
    assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == ("2", "1")
    stop_filling()
    shop.get("account")
    refused = shop.get("account")
    assert is_refused(refused)
    assert "This key may make 2" in refused.json()["detail"]
    with unit_of_work():
        colleague = Caller(shop.customer, issue_key(customer=shop.customer, name="Second"))
    assert colleague.get("account").status_code == 200


def test_a_customer_may_have_a_limit_of_its_own(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 1
    Customer.objects.update(rate_limit=1_000)
    assert shop.get("account").json()["rate_limit"] == 1_000
    assert all(shop.get("account").status_code == 200 for _ in range(20))


def test_a_refused_order_is_not_placed_and_its_key_stays_free(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 1
    shop.get("account")
    stop_filling()
    assert is_refused(shop.place(key="k"))
    settings.RATE_LIMIT_PER_SECOND = 100
    RateBucket.objects.all().delete()
    rate_limits.meter = rate_limits.Meter()
    assert shop.place(key="k").status_code == 201


def test_a_request_that_nobody_sent_is_not_counted(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 1
    shop.get("account")
    stop_filling()
    again = shop.get("account", **{ASKED_AGAIN: ASKED_AGAIN_MARK})
    assert again.status_code == 200
    assert "RateLimit" not in again
    assert is_refused(shop.get("account", x_asked_again="anything"))


def test_wrong_keys_of_one_address_are_refused_at_last_and_good_ones_never(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 200
    shop.get("account", authorization=f"Bearer {WRONG}")
    stop_filling()
    most = rate_limits.FAILURES_PER_MINUTE["address"]
    wrong = [shop.get("account", authorization=f"Bearer tdm_{n:08}_{'x' * 43}") for n in range(most + 4)]
    assert [response.status_code for response in wrong] == [401] * (most - 1) + [429] * 5
    assert is_refused(wrong[-1])
    assert shop.get("account").status_code == 200
    elsewhere = shop.http.get(
        "/api/v1/account", REMOTE_ADDR="203.0.113.9", headers={"authorization": f"Bearer {WRONG}"}
    )
    assert elsewhere.status_code == 401


def test_guessing_at_one_key_from_many_addresses_is_refused_at_last_and_its_owner_never(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 200

    def guess(number: int) -> int:
        headers = {"authorization": f"Bearer {shop.key[:12]}_{number:043}"}
        return shop.http.get("/api/v1/account", REMOTE_ADDR=f"203.0.113.{number}", headers=headers).status_code

    guess(0)
    stop_filling()
    most = rate_limits.FAILURES_PER_MINUTE["prefix"]
    assert [guess(number) for number in range(1, most + 3)] == [401] * (most - 1) + [429] * 3
    assert shop.get("account").status_code == 200


def test_the_bucket_costs_a_statement_now_and_then_and_no_wal(shop, settings, statements):
    settings.RATE_LIMIT_PER_SECOND = 200
    for _ in range(40):
        shop.get("account")
    taken = [sql for sql in statements if "orders_ratebucket" in sql]
    assert len(taken) == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'orders_ratebucket'")
        assert cursor.fetchone() == ("u",)


def test_buckets_that_are_full_again_are_forgotten(shop):
    shop.get("account")
    rate_limits.forget_full_buckets()
    assert RateBucket.objects.count() == 1
    RateBucket.objects.update(filled_at=F("filled_at") - timedelta(hours=2))
    rate_limits.forget_full_buckets()
    assert not RateBucket.objects.exists()
