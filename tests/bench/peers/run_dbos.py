"""DBOS: `run_dbos fill N` enqueues N workflows, `run_dbos work` is one worker process.

A workflow of one step, since what has an effect must be one. Tuned: the queue is looked at often, and several
workflows are in flight.
"""

import os
import signal
import sys
import threading

import django
import sqlalchemy
from dbos import DBOS, DBOSClient

django.setup()

from tests.bench.work import touch  # noqa: E402 - needs the settings

QUEUE = "bench"
VERSION = "1"
THREADS = 8
IN_HAND = 100
_, _, rest = os.environ["DATABASE_URL"].partition("://")
URL = f"postgresql+psycopg://{rest}"
step = DBOS.step(name="touch_one")(touch)


@DBOS.workflow(name="touch")
def workflow(number: int) -> None:
    step(number)


def launch() -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "application_version": VERSION,
            "executor_id": str(os.getpid()),
            "log_level": "ERROR",
            "sys_db_pool_size": THREADS + 4,
            "max_executor_threads": THREADS,
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=IN_HAND, polling_interval_sec=0.05)


def fill(workflows: int) -> None:
    """All in one transaction, which takes a fraction of the time."""
    launch()
    DBOS.destroy()
    client, engine = DBOSClient(system_database_url=URL), sqlalchemy.create_engine(URL)
    options = {"queue_name": QUEUE, "workflow_name": "touch", "app_version": VERSION}
    with engine.begin() as transaction:
        for number in range(1, workflows + 1):
            client.enqueue_in_transaction(transaction, options, number)
    client.destroy()


def work() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    launch()
    stopping.wait()
    DBOS.destroy()


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work()
