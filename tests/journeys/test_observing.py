"""What the running system tells of itself: logs, metrics and health, from the web and from workers."""

import json
from typing import Any

import httpx
import pytest

from tests.journeys.orders import await_final, basket
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(start_system):
    return start_system()


@pytest.fixture(scope="module")
def order(system) -> dict[str, Any]:
    with system.customer() as customer:
        answer = customer.post("/api/v1/orders", json=basket({"TEA-EARL-100": 1}), headers={"Idempotency-Key": "o"})
    await_final(system, [answer.json()["id"]], 60)
    return {**answer.json(), "correlation_id": answer.headers["X-Correlation-ID"]}


def lines(system, name: str) -> list[dict[str, Any]]:
    found = []
    for line in (system.home / "log" / f"{name}.log").read_text().splitlines():
        start = line.find("{")
        if start >= 0:
            found.append(json.loads(line[start:]))
    return found


@pytest.mark.requirement("M30")
def test_one_correlation_id_finds_the_request_and_every_message_of_an_order_with_their_times(system, order):
    mine = [line for line in lines(system, "web") if line.get("correlation_id") == order["correlation_id"]]
    (request,) = [line for line in mine if line["event"] == "request" and line["path"] == "/api/v1/orders"]
    assert (request["method"], request["status"]) == ("POST", 201)
    assert request["ms"] > 0
    assert request["actor"].startswith("customer:cus_")
    handled = [
        line
        for line in lines(system, "cluster")
        if line["event"] == "handled" and line["correlation_id"] == order["correlation_id"]
    ]
    consumers = {line["consumer"] for line in handled}
    assert {
        "payments.create_intent",
        "fulfillment.book_label",
        "orders.follow",
        "payments.capture_payment",
    } <= consumers
    assert all(line["ms"] >= 0 and line["since_commit_ms"] > 0 for line in handled)


@pytest.mark.requirement("M30", "M20")
def test_the_callback_of_the_carrier_joins_the_conversation_of_its_order(system, order):
    handled = [line for line in lines(system, "cluster") if line.get("consumer") == "fulfillment.follow_parcel"]
    assert {line["correlation_id"] for line in handled} == {order["correlation_id"]}


@pytest.mark.requirement("M32")
def test_metrics_come_from_web_and_from_worker_processes(system, order):
    text = httpx.get(f"{system.demo['base_url']}/metrics", timeout=10).text
    assert 'tandem_messages_total{consumer="orders.follow",outcome="done"}' in text
    assert 'tandem_commit_to_effect_seconds_count{consumer="payments.create_intent"}' in text
    assert 'tandem_breaker_state{destination="carrier"} 0.0' in text
    assert "tandem_workers 2.0" in text
    assert 'django_http_responses_total_by_status_total{status="201"}' in text


@pytest.mark.requirement("M32")
def test_queue_depth_and_age_of_what_waits_are_metrics(system, order):
    system.sandbox(
        "POST", "/faults", json={"target": "carrier", "mode": "error", "status": 401, "rate": 1, "for_s": 30}
    )
    try:
        with system.customer() as customer:
            customer.post("/api/v1/orders", json=basket({"TEA-EARL-100": 1}), headers={"Idempotency-Key": "dead"})
        metric = 'tandem_queue_depth{consumer="fulfillment.book_label",state="dead"} 1.0'
        eventually(lambda: metric in httpx.get(f"{system.demo['base_url']}/metrics", timeout=10).text, 30)
    finally:
        system.sandbox("DELETE", "/faults")
    assert (
        'tandem_oldest_due_seconds{consumer="fulfillment.book_label"}'
        in httpx.get(f"{system.demo['base_url']}/metrics", timeout=10).text
    )


@pytest.mark.requirement("M41")
def test_health_tells_what_is_well(system, order):
    base = system.demo["base_url"]
    live, ready, workers = (httpx.get(f"{base}/health/{name}", timeout=10) for name in ("live", "ready", "workers"))
    assert (live.status_code, ready.status_code, workers.status_code) == (200, 200, 200)
    assert ready.json()["components"]["database"] == "ok"
    assert workers.json()["workers"] == 2


@pytest.mark.requirement("M41")
def test_without_workers_the_site_is_ready_and_the_workers_health_fails(start_system, tmp_path):
    idle = start_system("--workers", "0", home=tmp_path)
    base = idle.demo["base_url"]
    assert httpx.get(f"{base}/health/ready", timeout=10).status_code == 200
    answer = httpx.get(f"{base}/health/workers", timeout=10)
    assert (answer.status_code, answer.json()["workers"]) == (503, 0)
