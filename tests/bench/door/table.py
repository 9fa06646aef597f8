"""The table of what the customers' door shall reach, and how it is measured."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from uuid import uuid4

from tests.bench.door.crowd import crowd
from tests.bench.door.http import Ask, Connection, Question, busily, paced
from tests.bench.door.servers import HOT, SKUS, Servers, plain_order, servers
from tests.bench.measuring import Measure, Result, Row, Samples, result_of, take_turns

CONNECTIONS = 8
RACERS = 200
SECONDS = 4.0
KNOWN = 50
"""Orders that are read or placed again."""
ROWS = (
    Row("door.place", "orders/s", "door.place", ">= 0.7", "orm_view"),
    Row("door.place.p50", "ms", "door.place", "", "orm_view.p50", "orm_view"),
    Row("door.p99_over_p50", "ms", "door.p99_over_p50", "<= 3", "half_load.p50", "door.p99_over_p50"),
    Row("door.hot_sku", "orders/s", "door.hot_sku", ">= 0.5", "many_skus"),
    Row("door.replay", "answers/s", "door.replay", ">= 3", "door.place"),
    Row("door.etag", "answers/s", "door.etag", ">= 0.4", "view_without_database"),
    Row("door.waiting", "orders/s", "door.waiting", ">= 0.8", "door.place"),
    Row("door.waiting.memory", "MiB", "door.waiting", "<= 400"),
)


def names() -> list[str]:
    """Return the names of the rows."""
    return [row.name for row in ROWS]


def door(wanted: Sequence[str]) -> list[Result]:
    """Measure the rows whose names are `wanted`, all in one interleaved run with their baselines."""
    rows = [row for row in ROWS if row.name in wanted]
    needed: set[str] = set().union(*(row.measures for row in rows))
    with servers() as standing:
        measures = measures_of(standing)
        rounds = take_turns({name: measure for name, measure in measures.items() if name in needed})
    return [result_of(row, rounds) for row in rows]


def measures_of(standing: Servers) -> dict[str, Measure]:
    """Return every measure by its name."""
    ours, minimal = standing.ours, standing.minimal
    return {
        "door.place": lambda: named("door.place", load(ours, standing.order, 201)),
        "orm_view": lambda: named("orm_view", load(minimal, plain_order, 201)),
        "door.p99_over_p50": lambda: half_load(standing),
        "door.hot_sku": lambda: named("door.hot_sku", race(standing, lambda: standing.order(HOT))),
        "many_skus": lambda: named("many_skus", race(standing, lambda: standing.order(random.choice(SKUS)))),
        "door.replay": lambda: named("door.replay", load(ours, again(standing), 201)),
        "door.etag": lambda: named("door.etag", load(ours, unchanged(standing), 304)),
        "view_without_database": lambda: named("view_without_database", load(minimal, nothing, 200)),
        "door.waiting": lambda: beside_a_crowd(standing),
    }


def named(name: str, samples: Samples) -> Samples:
    return {name: samples["rate"], f"{name}.p50": samples["p50"]}


def load(port: int, ask: Ask, expect: int, connections: int = CONNECTIONS) -> Samples:
    """Ask over all connections without a pause."""
    rate, latencies = asyncio.run(busily(port, [ask] * connections, expect=expect, seconds=SECONDS))
    return {"rate": rate, "p50": latencies[len(latencies) // 2] * 1000}


def race(standing: Servers, ask: Ask) -> Samples:
    """Let RACERS customers order at once. Raises AssertionError when one is not served."""
    return load(standing.ours, ask, 201, RACERS)


def half_load(standing: Servers) -> Samples:
    """Ask half as often as the door could answer; return the p99 under the row's name, and the p50."""
    rate = load(standing.ours, standing.order, 201)["rate"] / 2
    asks = [standing.order] * CONNECTIONS * 2
    _, latencies = asyncio.run(paced(standing.ours, asks, expect=201, seconds=SECONDS * 2, rate=rate))
    middle, late = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return {"door.p99_over_p50": late, "half_load.p50": middle}


def again(standing: Servers) -> Callable[[], Question]:
    """Place some orders; return what asks for one of them again, with its key."""
    known = [standing.order() for _ in range(KNOWN)]
    asyncio.run(_placed(standing, known))
    return partial(random.choice, known)


def unchanged(standing: Servers) -> Callable[[], Question]:
    """Place some orders and read them; return what asks whether one of them has changed."""
    asks = [standing.order() for _ in range(KNOWN)]
    callers = [{"Authorization": ask.headers["Authorization"]} for ask in asks]
    paths = [f"/api/v1/orders/{json.loads(body)['id']}" for body in asyncio.run(_placed(standing, asks))]
    reads = [Question("GET", path, caller) for path, caller in zip(paths, callers, strict=True)]
    tags = asyncio.run(_tags(standing, reads))
    known = [
        replace(read, headers={**read.headers, "If-None-Match": tag}) for read, tag in zip(reads, tags, strict=True)
    ]
    return partial(random.choice, known)


async def _placed(standing: Servers, asks: Sequence[Question]) -> list[bytes]:
    connection = Connection(standing.ours)
    answers = [await connection.ask(ask) for ask in asks]
    assert {answer.status for answer in answers} == {201}
    return [answer.body for answer in answers]


async def _tags(standing: Servers, reads: Sequence[Question]) -> list[str]:
    connection = Connection(standing.ours)
    return [(await connection.ask(read)).headers[b"etag"].decode() for read in reads]


def nothing() -> Question:
    """Ask the minimal view that has no database."""
    return Question("GET", f"/orders/{uuid4()}")


def beside_a_crowd(standing: Servers) -> Samples:
    """Place orders while hundreds wait and a thousand streams are open."""
    with crowd(standing):
        samples = load(standing.ours, standing.order, 201)
        return {**named("door.waiting", samples), "door.waiting.memory": standing.memory()}
