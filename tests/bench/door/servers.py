"""Tandem and the minimal views, each on gunicorn with two processes, and what they are asked."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import psutil

from config.runtime.ports import free_port
from tests.bench.door.http import Connection, Question
from tests.bench.measuring import running, wait_until
from tests.bench.models import PlainStock
from tests.shop import ADDRESS, add_product, make_caller

PROCESSES = "2"
SKUS = [f"DOOR-{number:03}" for number in range(40)]
"""As many products as the demo's catalogue has."""
HOT = "DOOR-HOT"
STOCK = 100_000_000
CUSTOMERS = 20
LEAST = {"WEB_CONCURRENCY": PROCESSES, "DJANGO_SETTINGS_MODULE": "tests.bench.door.minimal_settings"}
UNLIMITED = {"WEB_CONCURRENCY": PROCESSES, "RATE_LIMIT_PER_SECOND": "1000000"}
"""The limit of requests is there for one customer's sake; here a few stand for all."""


@dataclass(frozen=True)
class Servers:
    """Where both listen, and the customers' keys."""

    ours: int
    minimal: int
    keys: list[str]
    gunicorn: int
    """Process id of our web server."""

    def memory(self) -> float:
        """Return the resident memory of all web processes in MiB; what they share is counted once for each."""
        master = psutil.Process(self.gunicorn)
        return sum(process.memory_info().rss for process in [master, *master.children(recursive=True)]) / 2**20

    def order(self, *skus: str) -> Question:
        """Ask for one piece of each, or of two products by chance, with a key of its own."""
        chosen = skus or tuple(random.sample(SKUS, 2))
        headers = self.called() | {"Idempotency-Key": str(uuid4())}
        return Question("POST", "/api/v1/orders", headers, body_of(chosen))

    def called(self) -> dict[str, str]:
        """Return the headers of one of the customers."""
        return {"Authorization": f"Bearer {random.choice(self.keys)}"}


def body_of(skus: tuple[str, ...]) -> bytes:
    """Return an order of one piece of each."""
    lines = [{"sku": sku, "quantity": 1} for sku in skus]
    order = {"currency": "EUR", "lines": lines, "shipping_address": ADDRESS, "payment_method": "pm_card_visa"}
    return json.dumps(order).encode()


def plain_order() -> Question:
    """Ask the minimal view for the same."""
    return Question("POST", "/orders", {}, body_of(tuple(random.sample(SKUS, 2))))


@contextmanager
def servers() -> Iterator[Servers]:
    """Have both stand ready, with a shop that does not sell out and a few customers."""
    for sku in (*SKUS, HOT):
        add_product(sku, "12.90", STOCK)
        PlainStock.objects.create(sku=sku, left=STOCK)
    keys = [make_caller(f"Door {number}").key for number in range(CUSTOMERS)]
    ours, minimal = free_port(), free_port()
    gunicorn = ["-m", "gunicorn", "--config", "python:config.runtime.gunicorn", "--bind"]
    with (
        running([*gunicorn, f"127.0.0.1:{ours}", "config.asgi:application"], **UNLIMITED) as web,
        running([*gunicorn, f"127.0.0.1:{minimal}", "tests.bench.plain_asgi:application"], **LEAST),
    ):
        standing = Servers(ours, minimal, keys, web.pid)
        wait_until(lambda: answers(ours, standing.order()), what="the door")
        wait_until(lambda: answers(minimal, plain_order()), what="the minimal views")
        yield standing


def answers(port: int, question: Question) -> bool:
    """Tell whether the server places orders by now."""
    try:
        return asyncio.run(Connection(port).ask(question)).status == 201
    except (OSError, EOFError):
        return False
