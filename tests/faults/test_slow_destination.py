"""A destination that takes its time: many calls overlap, never more than it has places for, over kept connections."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest

from outbox.publishing import send, unit_of_work
from tests.lab.models import Effect
from tests.lab.visits import PLACES, Visit
from tests.runtime.waiting import eventually, kill

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M7", "M11", "M17"),
    pytest.mark.usefixtures("invariants_hold"),
]
LATENCY = 0.2
CALLS = 200


class Outside(ThreadingHTTPServer):
    """Answers after LATENCY, and counts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.lock = threading.Lock()
        self.in_flight = self.most = self.connections = 0
        self.moments: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Outside

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        outside = self.server
        with outside.lock:
            outside.in_flight += 1
            outside.most = max(outside.most, outside.in_flight)
            outside.moments.append(time.monotonic())
        time.sleep(LATENCY)
        with outside.lock:
            outside.in_flight -= 1
            outside.moments.append(time.monotonic())
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"visited")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def outside() -> Iterator[Outside]:
    server = Outside()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def visit(outside: Outside, count: int) -> None:
    with unit_of_work():
        for number in range(count):
            send(Visit(bench_id=uuid4(), number=number, url=outside.url))


def visited() -> Counter[int]:
    return Counter(Effect.objects.filter(label="visited").values_list("number", flat=True))


def test_many_slow_calls_overlap_up_to_the_destinations_limit_over_both_workers(cluster, outside, record_property):
    visit(outside, CALLS)
    eventually(lambda: len(visited()) == CALLS, 30)
    took = outside.moments[-1] - outside.moments[0]
    record_property("seconds", took)
    print(f"{CALLS} calls of {LATENCY} s, {PLACES} at once: {took:.2f} s, {outside.connections} connections")
    assert visited() == Counter(range(CALLS))
    assert outside.most <= PLACES, "over both workers"
    assert outside.most >= PLACES - 2
    assert took < CALLS * LATENCY / 4, "a quarter of one after the other, on the busiest machine"
    assert outside.connections <= 2 * PLACES, "kept, by each worker"


def test_the_places_of_a_killed_worker_are_used_by_the_others(cluster, outside):
    visit(outside, 60)
    eventually(lambda: outside.in_flight >= PLACES - 2)
    kill(cluster.pids()["worker-1"])
    eventually(lambda: len(visited()) == 60, 60)
    assert visited() == Counter(range(60))
    assert outside.most <= 2 * PLACES, "the server may not have noticed that those of the killed one hung up"
