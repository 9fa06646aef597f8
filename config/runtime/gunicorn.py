"""gunicorn's configuration: a few asynchronous workers, none of which outlives the master."""

import os
import socket
from collections.abc import Sequence
from typing import Protocol

from prometheus_client.multiprocess import mark_process_dead

from config.runtime.lifelines import die_with

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "config.runtime.web_worker.WebWorker"
timeout = 60
graceful_timeout = 20
keepalive = 5
errorlog = "-"
accesslog = None  # the application logs each request itself, with its correlation id
control_socket_disable = True
proc_name = "tandem"


SLOW_READER_MS = 30_000
"""After this long without an acknowledgement, or without room for what is sent, the kernel drops a connection."""


class Listener(Protocol):
    """What we need to know of what gunicorn listens with."""

    sock: socket.socket


class Arbiter(Protocol):
    """What we need to know of gunicorn's master."""

    LISTENERS: Sequence[Listener]


def when_ready(arbiter: Arbiter) -> None:
    """Connections inherit this from what they were accepted by: readers that stand still or are gone are let go."""
    for listener in arbiter.LISTENERS:
        if listener.sock.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SLOW_READER_MS)


class Worker(Protocol):
    """What we need to know of gunicorn's worker object."""

    pid: int
    ppid: int


def post_fork(arbiter: object, worker: Worker) -> None:
    """An orphaned worker would keep the listening socket and answer with yesterday's code."""
    die_with(worker.ppid)


def child_exit(arbiter: object, worker: Worker) -> None:
    """Gauges of a worker that is gone must not be summed any more."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
