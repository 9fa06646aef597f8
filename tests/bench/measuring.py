"""How things are measured: ours and the baseline in turn, several rounds, medians of what was found."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 5
DATA = Path(os.environ.get("TANDEM_DATA_DIR", "var"))
LOG = DATA / "bench.log"
Samples = Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """One figure, and the baseline it is held against. `ratio` is value / baseline."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    rounds: int = 1
    bound: str = ""
    """What the ratio or the value shall keep."""


def compare(
    ours: Callable[[], Samples],
    baseline: Callable[[], Samples],
    *,
    units: Mapping[str, str],
    bounds: Mapping[str, str],
) -> list[Result]:
    """Measure both in turn, ROUNDS times; return each figure as the median of its rounds.

    The ratio is the median of the rounds' ratios: what disturbs the machine disturbs both halves of a round.
    """
    rounds = []
    for number in range(ROUNDS):
        print(f"    round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        rounds.append((ours(), baseline()))
    return [
        Result(
            name,
            round(statistics.median(mine[name] for mine, _ in rounds), 3),
            unit,
            round(statistics.median(other[name] for _, other in rounds), 3),
            round(statistics.median(mine[name] / other[name] for mine, other in rounds), 2),
            ROUNDS,
            bounds.get(name, ""),
        )
        for name, unit in units.items()
    ]


@contextmanager
def running(command: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside the benchmark, its words going to a file."""
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = 120.0, every: float = 0.02) -> None:
    """Wait for `condition`. Raises TimeoutError, naming `what` did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s; see {LOG}")
        time.sleep(every)
