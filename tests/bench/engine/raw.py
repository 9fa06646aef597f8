"""The bare loops: the least that psycopg and PostgreSQL can do. Run as a program: `raw LOOP`.

A loop begins when the benchmark lets go of an advisory lock, so that several of them begin together, and tells on
stdout when it had finished its last batch.
"""

import os
import sys
import time
from collections.abc import Callable

import psycopg

START_LOCK = 0x0B0E_0777
BATCH = 100
CLAIM = f"SELECT id, payload FROM bench_raw ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
ACKNOWLEDGE = "DELETE FROM bench_raw WHERE id = ANY(%s)"
TOUCH = "UPDATE bench_item SET touched = touched + 1 WHERE id = %s"
TOUCH_ALL = "UPDATE bench_item SET touched = touched + 1 WHERE id = ANY(%s)"
Connection = psycopg.Connection[tuple]
Rows = list[tuple]


def nothing(work: Connection, rows: Rows) -> None:
    """Handle nothing."""


def savepoint_nothing(work: Connection, rows: Rows) -> None:
    for _ in rows:
        work.execute("SAVEPOINT one")
        work.execute("RELEASE SAVEPOINT one")


def savepoint_update(work: Connection, rows: Rows) -> None:
    for _, payload in rows:
        work.execute("SAVEPOINT one")
        work.execute(TOUCH, (payload["number"],))
        work.execute("RELEASE SAVEPOINT one")


def update_all(work: Connection, rows: Rows) -> None:
    work.execute(TOUCH_ALL, ([payload["number"] for _, payload in rows],))


LOOPS: dict[str, Callable[[Connection, Rows], None]] = {
    "raw_noop_100": nothing,
    "raw_savepoint_noop_100": savepoint_nothing,
    "raw_savepoint_100": savepoint_update,
    "raw_set_100": update_all,
}


def drain(work: Connection, handle: Callable[[Connection, Rows], None]) -> float:
    """Drain the table; return the time at which the last batch was committed."""
    finished = time.time()
    while rows := work.execute(CLAIM).fetchall():
        handle(work, rows)
        work.execute(ACKNOWLEDGE, ([row[0] for row in rows],))
        work.commit()
        finished = time.time()
    return finished


def main(name: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], application_name="raw") as work:
        print("ready", flush=True)
        work.execute("SELECT pg_advisory_lock_shared(%s)", (START_LOCK,))
        work.commit()
        print(drain(work, LOOPS[name]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
