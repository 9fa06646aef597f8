"""Placing orders over HTTP: Tandem against a minimal DRF view that sends the same SQL statements."""

import http.client
import json
import pickle
import random
import threading
import time
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client

from config.runtime.ports import free_port
from tests.bench.measuring import DATA, Result, Row, Samples, result_of, running, take_turns, wait_until
from tests.shop import add_product, make_caller, order_of

CONNECTIONS = 8
SECONDS = 4.0
MOST_STATEMENTS = 12
SKUS = [f"BENCH-{number:03}" for number in range(40)]
"""As many products as the demo's catalogue has: orders for one and the same would wait for each other's row."""
RECORDED = DATA / "bench_placement.pickle"
ROWS = (
    Row("placing", "orders/s", "placing", ">= 0.7", "bare_view"),
    Row("placing.p50", "ms", "placing", "", "bare_view.p50", "bare_view"),
)


def placing() -> list[Result]:
    """Measure it, with two processes of each server standing ready."""
    for sku in SKUS:
        add_product(sku, "12.90", 1_000_000)
    key = make_caller("Bench").key
    statements = record(key)
    ours, minimal = free_port(), free_port()
    gunicorn = ["-m", "gunicorn", "--config", "python:config.runtime.gunicorn", "--bind"]
    unlimited = {"RATE_LIMIT_PER_SECOND": "100000"}  # counted all the same
    least = {"DJANGO_SETTINGS_MODULE": "tests.bench.minimal_settings", "BENCH_PLACEMENT": str(RECORDED)}
    with (
        running([*gunicorn, f"127.0.0.1:{ours}", "config.asgi:application"], WEB_CONCURRENCY="2", **unlimited),
        running(
            [*gunicorn, f"127.0.0.1:{minimal}", "tests.bench.plain_asgi:application"], WEB_CONCURRENCY="2", **least
        ),
    ):
        for port in (ours, minimal):
            wait_until(lambda port=port: answers(port, key), what=f"the server on port {port}")
        rounds = take_turns(
            {
                "placing": lambda: named("placing", load(ours, key)),
                "bare_view": lambda: named("bare_view", load(minimal, key)),
            }
        )
    bound = f"<= {MOST_STATEMENTS}"
    cost = Result("placing.statements", statements, "statements/order", rounds=1, bound=bound)
    return [*(result_of(row, rounds) for row in ROWS), cost]


def named(name: str, samples: Samples) -> Samples:
    return {name: samples["rate"], f"{name}.p50": samples["p50"]}


def record(key: str) -> int:
    """Place two orders in this process and keep their statements; return how many one order took."""
    client = Client(headers={"authorization": f"Bearer {key}", "host": "127.0.0.1"})
    place(client, SKUS[0])  # so that what is only done once is done
    one, other = place(client, SKUS[0]), place(client, SKUS[1])
    RECORDED.write_bytes(pickle.dumps((SKUS, one, other)))
    return len(one)


def place(client: Client, sku: str) -> list[tuple[str, Any, bool]]:
    """Place an order of `sku`; return each statement with its parameters and whether it was in a transaction."""
    seen: list[tuple[str, Any, bool]] = []

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, plain(params), connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        headers = {"idempotency-key": str(uuid4())}
        response = client.post("/api/v1/orders", json.dumps(order_of((sku, 2))), "application/json", headers=headers)
    assert response.status_code == 201, response.content
    return seen


def plain(value: Any) -> Any:
    """Return parameters without the classes of our models, which the minimal view does not know."""
    if isinstance(value, dict):
        return {name: plain(nested) for name, nested in value.items()}
    if isinstance(value, list | tuple):
        return [plain(nested) for nested in value]
    return str(value) if isinstance(value, str) else value


def load(port: int, key: str) -> Samples:
    """Place orders over CONNECTIONS connections for SECONDS; return the rate and the median latency."""
    end = time.monotonic() + SECONDS
    latencies: list[float] = []

    def customer() -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < end:
            started = time.perf_counter()
            assert post(link, key) == 201
            latencies.append(time.perf_counter() - started)
        link.close()

    customers = [threading.Thread(target=customer) for _ in range(CONNECTIONS)]
    started = time.monotonic()
    for thread in customers:
        thread.start()
    for thread in customers:
        thread.join()
    middle = sorted(latencies)[len(latencies) // 2]
    return {"rate": len(latencies) / (time.monotonic() - started), "p50": middle * 1000}


def post(link: http.client.HTTPConnection, key: str) -> int:
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
    }
    link.request("POST", "/api/v1/orders", json.dumps(order_of((random.choice(SKUS), 2))), headers)
    response = link.getresponse()
    response.read()
    return response.status


def answers(port: int, key: str) -> bool:
    """Tell whether the server places orders by now."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        return post(link, key) == 201
    except OSError:
        return False
    finally:
        link.close()
