"""Peers against the clock: a backlog is made, two worker processes drain it, their effects are counted meanwhile."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.engine.backlog import empty_tables
from tests.bench.engine.drains import WORKERS
from tests.bench.engine.effects import steady_rate, watch
from tests.bench.measuring import LOG, Measure, Samples, running_program
from tests.bench.peers.installing import ROOT, NotHere, node_packages_of, python_of

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
QUEUE = f"tandem_bench_{os.getpid()}"
"""Two benchmarks on one RabbitMQ stay apart."""
FILL_SECONDS = 120


@dataclass(frozen=True)
class Program:
    """How to call what fills a peer's queue and works on it."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]


def python(name: str, **environment: str) -> Program:
    """The program run_NAME in the peer's own Python, with the bench's handler. Raises NotHere."""
    program = name.partition("_")[0]
    own = {"DJANGO_SETTINGS_MODULE": "tests.bench.peers.settings", "PYTHONPATH": str(ROOT), **environment}
    return Program([python_of(name), "-m", f"tests.bench.peers.run_{program}"], own)


def celery(name: str) -> Program:
    """The same, where a RabbitMQ answers. Raises NotHere."""
    parts = urlsplit(AMQP_URL)
    host, port = parts.hostname or "127.0.0.1", parts.port or 5672
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        raise NotHere(f"no RabbitMQ at {host}:{port} (AMQP_URL names another one): {error}") from error
    return python(name, AMQP_URL=AMQP_URL, BENCH_QUEUE=QUEUE)


def node(name: str, **environment: str) -> Program:
    """The program in Node. Raises NotHere."""
    script = Path(__file__).with_name("run_graphile_worker.cjs")
    packages = str(node_packages_of("graphile_worker"))
    return Program([shutil.which("node") or "node", script], {"NODE_PATH": packages, **environment})


@dataclass(frozen=True)
class Peer:
    """A queue to compare with."""

    prepare: Callable[[str], Program]
    tasks: int
    """About as many as it drains in five seconds."""
    programs: int = WORKERS
    """How many of its worker programs to run; 1 where one has several processes."""
    forgets: bool = False
    """It leaves something behind outside the database that it must be told to forget."""


PEERS = {
    "procrastinate": Peer(python, 2_000),
    "dbos": Peer(python, 2_000),
    "awa_pg": Peer(python, 6_000),
    "graphile_worker": Peer(node, 15_000),
    "graphile_worker_batched": Peer(partial(node, BATCHED="1"), 20_000),
    "celery_rabbitmq": Peer(celery, 4_000, programs=1, forgets=True),
}


@dataclass
class Field:
    """The peers that take part, and why others do not."""

    measures: dict[str, Measure] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def miss(self, name: str, why: str) -> None:
        self.missing[name] = why
        print(f"    {name} does not take part: {why}", file=sys.stderr, flush=True)


@contextmanager
def line_up(needed: Collection[str], *, left_out: bool = False) -> Iterator[Field]:
    """Install those of the peers that are `needed`; what cannot be had here is missing, with its reason."""
    lined_up = Field()
    with ExitStack() as afterwards:
        for name, peer in PEERS.items():
            if name not in needed:
                continue
            if left_out:
                lined_up.missing[name] = "left out"
                continue
            try:
                program = peer.prepare(name)
            except NotHere as error:
                lined_up.miss(name, str(error))
                continue
            lined_up.measures[name] = partial(measure, name, peer, program, lined_up)
            if peer.forgets:
                afterwards.callback(call, program, "forget", check=False)
        yield lined_up


def measure(name: str, peer: Peer, program: Program, lined_up: Field) -> Samples:
    """Return the rate of one drain, or nothing when the peer fails: it shall not stop the others."""
    if name in lined_up.missing:
        return {}
    try:
        return {name: drain(peer, program)}
    except (subprocess.SubprocessError, TimeoutError, AssertionError) as error:
        lined_up.miss(name, f"{type(error).__name__}: {error}; see {LOG}")
        return {}


def drain(peer: Peer, program: Program) -> float:
    empty_tables()
    call(program, "fill", str(peer.tasks))
    with ExitStack() as stack:
        for _ in range(peer.programs):
            stack.enter_context(running_program([*program.command, "work"], program.environment))
        looks = watch(peer.tasks)
    return steady_rate(looks, peer.tasks)


def call(program: Program, *words: str, check: bool = True) -> None:
    """Let the peer do something before or after. Raises CalledProcessError."""
    with LOG.open("ab") as log:
        environment = {**os.environ, **program.environment}
        command = [*program.command, *words]
        subprocess.run(command, stdout=log, stderr=log, env=environment, cwd=ROOT, check=check, timeout=FILL_SECONDS)
