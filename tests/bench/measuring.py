"""How things are measured: ours and the baselines in turn, several rounds, medians of what was found."""

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
Measure = Callable[[], Samples]


@dataclass(frozen=True)
class Result:
    """One figure, and the baseline it is held against. `ratio` is value / baseline."""

    name: str
    value: float | None
    unit: str
    baseline: str | None = None
    """What it is compared with."""
    baseline_value: float | None = None
    ratio: float | None = None
    rounds: int = ROUNDS
    bound: str = ""
    """What the ratio, or the value where there is no baseline, shall keep."""
    reason: str = ""
    """Why there is no ratio."""


@dataclass(frozen=True)
class Row:
    """A figure to report: one of the samples of `measure`, against one of those of `against`."""

    name: str
    unit: str
    measure: str
    bound: str = ""
    baseline: str | None = None
    """Name of the baseline's sample."""
    against: str | None = None
    """The measure that gives it; the baseline's own name by default."""

    @property
    def measures(self) -> set[str]:
        """What must be measured for it."""
        return {self.measure, self.against or self.baseline or self.measure}


def take_turns(measures: Mapping[str, Measure], rounds: int = ROUNDS) -> list[dict[str, float]]:
    """Measure each in turn, `rounds` times; return the samples of each round."""
    taken = []
    for number in range(rounds):
        samples: dict[str, float] = {}
        for name, measure in measures.items():
            print(f"    round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            samples.update(measure())
        taken.append(samples)
    return taken


def result_of(row: Row, rounds: Sequence[Samples]) -> Result:
    """Return the figure as the median of its rounds.

    The ratio is the median of the rounds' ratios: what disturbs the machine disturbs both halves of a round.
    """
    value = round(statistics.median(samples[row.name] for samples in rounds), 3)
    if row.baseline is None:
        return Result(row.name, value, row.unit, rounds=len(rounds), bound=row.bound)
    return Result(
        row.name,
        value,
        row.unit,
        row.baseline,
        round(statistics.median(samples[row.baseline] for samples in rounds), 3),
        round(statistics.median(samples[row.name] / samples[row.baseline] for samples in rounds), 2),
        len(rounds),
        row.bound,
    )


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
