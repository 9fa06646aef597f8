"""How things are measured: ours and the baselines in turn, several rounds, medians of what was found."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 5
FEW = 3
"""Rounds of what takes long."""
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


def take_turns(
    measures: Mapping[str, Measure], rounds: int = ROUNDS, few: Collection[str] = (), less: int = FEW
) -> list[dict[str, float]]:
    """Measure each in turn, `rounds` times, those of `few` in the first `less` only; return each round's samples."""
    taken = []
    for number in range(rounds):
        samples: dict[str, float] = {}
        for name, measure in measures.items():
            if name in few and number >= less:
                continue
            print(f"    round {number + 1} of {less if name in few else rounds}: {name}", file=sys.stderr, flush=True)
            samples.update(measure())
        taken.append(samples)
    return taken


def result_of(row: Row, rounds: Sequence[Samples], missing: Mapping[str, str] | None = None) -> Result:
    """Return the figure as the median of its rounds; `missing` tells why a baseline has no samples.

    The ratio is the median of the rounds' ratios: what disturbs the machine disturbs both halves of a round.
    """
    taken = [samples for samples in rounds if row.name in samples]
    value = round(statistics.median(samples[row.name] for samples in taken), 3)
    if row.baseline is None:
        return Result(row.name, value, row.unit, rounds=len(taken), bound=row.bound)
    both = [samples for samples in taken if row.baseline in samples]
    if not both:
        reason = (missing or {}).get(row.baseline, "was not measured")
        return Result(row.name, value, row.unit, row.baseline, rounds=len(taken), bound=row.bound, reason=reason)
    return Result(
        row.name,
        value,
        row.unit,
        row.baseline,
        round(statistics.median(samples[row.baseline] for samples in both), 3),
        round(statistics.median(samples[row.name] / samples[row.baseline] for samples in both), 2),
        len(both),
        row.bound,
    )


def running(command: Sequence[str], **environment: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a program of this Python beside the benchmark, its words going to a file."""
    return running_program([sys.executable, *command], environment)


@contextmanager
def running_program(command: Sequence[str | Path], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run any program beside the benchmark, its words going to a file."""
    with LOG.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
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
