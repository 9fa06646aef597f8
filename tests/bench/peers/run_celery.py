"""Celery on RabbitMQ: `run_celery fill N` sends N tasks, `run_celery work` is a worker with two processes.

A task is acknowledged before it runs, as Celery does unless told otherwise: what a process has in hand when it dies is
lost. Tuned: connections kept, a long prefetch, no results, no talk between
workers. `forget` deletes the queue.
"""

import os
import sys

import django
from celery import Celery

django.setup()

from tests.bench.work import touch  # noqa: E402 - needs the settings

QUEUE = os.environ["BENCH_QUEUE"]
app = Celery("bench", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=False,
)
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000  # else it connects anew for each task
task = app.task(touch, name="touch")


def fill(tasks: int) -> None:
    with app.connection_for_write() as connection, connection.channel() as channel:
        app.amqp.queues[QUEUE](channel).declare()
        channel.queue_purge(QUEUE)
        producer = app.amqp.Producer(channel)
        for number in range(1, tasks + 1):
            task.apply_async((number,), producer=producer)


def work() -> None:
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(["worker", "--concurrency=2", "--pool=prefork", "--loglevel=ERROR", *alone])


def forget() -> None:
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_delete(QUEUE)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        {"work": work, "forget": forget}[sys.argv[1]]()
