"""Publishing: a transaction with one business row and one message, the waking included, against the row alone."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from outbox import stats
from outbox.models import Rollup
from tests.bench.engine.backlog import empty_tables
from tests.bench.engine.drains import drained
from tests.bench.measuring import Samples, wait_until

SECONDS = 2.0
CLIENTS = (1, 8)


class Publishers:
    """Client processes that stand ready."""

    def __init__(self, processes: "list[subprocess.Popen[str]]") -> None:
        self._processes = processes

    def publish(self, clients: int) -> Samples:
        """Return transactions per second, and the latency that 99 % of the messages kept meanwhile."""
        empty_tables()
        Rollup.objects.all().delete()
        samples = {f"publish.{clients}": self._work("publish", clients)}
        wait_until(lambda: drained("bench.placed"), what="the published messages")
        wait_until(lambda: Rollup.objects.filter(consumer="bench.placed").exists(), what="the shifts' figures")
        return {**samples, f"publish.{clients}.pickup": _latency("bench.placed", 0.99)}

    def order_only(self, clients: int) -> Samples:
        """Return transactions per second with the business row alone."""
        return {f"order_only.{clients}": self._work("order_only", clients)}

    def _work(self, kind: str, clients: int) -> float:
        chosen = self._processes[:clients]
        until = time.time() + SECONDS
        for process in chosen:
            assert process.stdin
            print(kind, until, file=process.stdin, flush=True)
        return sum(_number(process) for process in chosen) / SECONDS


def _number(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def _latency(consumer: str, share: float) -> float:
    """Return the bound in milliseconds, from commit to effect, that this share of the messages kept."""
    buckets: dict[float, int] = {}
    for measure, value in Rollup.objects.filter(consumer=consumer).values_list("measure", "value"):
        bound = float(measure.removeprefix("le_"))
        buckets[bound] = buckets.get(bound, 0) + value
    return stats.percentile_ms(buckets, share) or 0.0


@contextmanager
def publishers() -> Iterator[Publishers]:
    """Start as many clients as are needed at most."""
    command = [sys.executable, "-m", "tests.bench.engine.publisher"]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(max(CLIENTS))]
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline().strip() == "ready"
        yield Publishers(processes)
    finally:
        for process in processes:
            assert process.stdin
            process.stdin.close()
            process.wait(10)
