"""Many requests at once at two real web processes: one key does one thing, and one limit is one limit."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from fulfillment import facade as fulfillment
from orders.models import ApiKey, Order, RateBucket
from outbox.models import Message
from tests.concurrency.web import web_server
from tests.faults.conftest import database_url
from tests.shop import TEA, Caller, order_of

CLIENTS = 50


@pytest.fixture
def api(busy_shop: Caller, tmp_path):
    with web_server(tmp_path) as url:
        yield url


def at_once(url: str, caller: Caller, body: dict[str, Any]) -> list[httpx.Response]:
    """Post the body with one key from as many clients, each on a connection of its own, until it is answered."""
    barrier = threading.Barrier(CLIENTS)
    headers = {"Authorization": f"Bearer {caller.key}", "Idempotency-Key": "k"}

    def send(_: int) -> httpx.Response:
        with httpx.Client(timeout=60, headers=headers) as client:
            client.get(f"{url}?limit=1")  # so that connecting is done
            barrier.wait()
            while (answer := client.post(url, json=body)).status_code == 409:
                assert answer.json()["code"] == "idempotency_in_progress"
                time.sleep(int(answer.headers["Retry-After"]))
            return answer

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(send, range(CLIENTS)))


def all_alike(answers: list[httpx.Response]) -> None:
    assert {answer.status_code for answer in answers} == {201}
    assert Counter(answer.headers.get("Idempotent-Replayed", "first") for answer in answers) == {
        "first": 1,
        "true": CLIENTS - 1,
    }
    for told in (
        lambda answer: answer.content,
        lambda answer: [answer.headers[name] for name in ("Location", "ETag", "Content-Type", "Content-Length")],
    ):
        assert all(told(answer) == told(answers[0]) for answer in answers)


@pytest.mark.requirement("M2", "M6", "M43")
def test_fifty_clients_with_one_key_at_two_processes_place_one_order_and_read_the_same_bytes(api, busy_shop):
    answers = at_once(f"{api}/orders", busy_shop, order_of())
    all_alike(answers)
    assert all("Server" not in answer.headers for answer in answers)
    assert Order.objects.count() == 1
    assert Message.objects.filter(name="orders.order_placed").count() == 1
    assert fulfillment.availability([TEA]) == {TEA: 998}


@pytest.mark.requirement("M43")
def test_fifty_clients_with_one_key_make_one_api_key_and_all_are_told_it(api, busy_shop):
    answers = at_once(f"{api}/api_keys", busy_shop, {"name": "Till", "scopes": ["orders:read"]})
    all_alike(answers)
    assert ApiKey.objects.filter(name="Till").count() == 1
    till = {"Authorization": f"Bearer {answers[0].json()['key']}"}
    assert httpx.get(f"{api}/orders", headers=till).status_code == 200


@pytest.mark.requirement("M43")
def test_two_processes_together_allow_what_the_limit_allows(busy_shop, tmp_path):
    """The bucket is emptied first, so that only what flows in while we ask can be spent."""
    rate = 5
    headers = {"Authorization": f"Bearer {busy_shop.key}"}
    with web_server(tmp_path, RATE_LIMIT_PER_SECOND=str(rate)) as url:
        httpx.get(f"{url}/account", headers=headers)
        RateBucket.objects.update(tokens=0)
        began = clock()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: httpx.get(f"{url}/account", headers=headers, timeout=60), range(200)))
        seconds = clock() - began
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 429}
    left_in_portions = 2
    assert counts[200] <= rate * seconds + left_in_portions + 1
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 429)


def clock() -> float:
    """The database's time, in seconds: the bucket fills by it."""
    with psycopg.connect(database_url(), autocommit=True) as own:
        return float(own.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0])
