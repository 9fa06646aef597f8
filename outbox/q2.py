"""django-q2's part: it supervises worker processes, bounds and recycles them, and runs periodic jobs.

It does not own the queue. Its broker hands out *shifts*: small tasks in which the worker itself claims deliveries, so
that workers are almost never inside django-q2's own locks, where a killed process would freeze the others. What is
left of that hazard is met by a crash-only sentinel: an unexpected death outside a shift ends the whole cluster, whose
supervisor starts it anew. Work is transactional, so crashing is safe. (docs/decisions/0003)

Nothing in django-q2's tables can name code to run: a task is JSON, and only functions on a written list are called.
This is the only module that imports django_q.
"""

import ctypes
import json
import os
import signal
import sys
import time
from datetime import datetime, timedelta
from multiprocessing import Event, get_context
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone
from django_q import cluster as q2_cluster
from django_q import signing as q2_signing
from django_q.brokers.orm import ORM
from django_q.cluster import Cluster, Sentinel
from django_q.models import OrmQ, Schedule
from django_q.status import Status
from django_q.tasks import uuid as task_identity
from structlog import get_logger

from outbox.conf import conf
from outbox.engine import shift

SHIFT = "outbox.q2.work_a_shift"
SCHEDULED_TASKS_EVERY_SECONDS = 2.0
SILENCE_UNTIL_RESTART_SECONDS = float(os.environ.get("TANDEM_SILENCE_SECONDS", "45"))
"""When no worker has begun a shift for this long the cluster is stuck, whatever django-q2 believes."""
CRASHED = 70
PR_SET_PDEATHSIG = 1
FORK = get_context("fork")

log = get_logger("outbox.cluster")
_stopping = RawValue(ctypes.c_bool, False)
_last_shift_at = RawValue(ctypes.c_double, 0.0)


def work_a_shift() -> None:
    """What a worker does when django-q2 gives it a shift."""
    _last_shift_at.value = time.monotonic()
    shift.run_shift(stopping=lambda: bool(_stopping.value))


class ListedTasks:
    """Replaces django-q2's pickles: tasks are JSON, and only those on the list come back."""

    KEYS = ("id", "name", "func", "started", "save", "group", "cluster")

    @staticmethod
    def dumps(task: Any) -> bytes:
        """Write a task; the cluster's own status reports carry nothing."""
        return b"{}" if isinstance(task, Status) else json.dumps(task, default=str).encode()

    @staticmethod
    def loads(data: bytes) -> dict[str, Any]:
        """Read a task. Raises BadSignature for anything that is not a listed function without arguments."""
        try:
            stored = json.loads(data)
            task = {key: stored[key] for key in ListedTasks.KEYS if key in stored}
            task["started"] = datetime.fromisoformat(task["started"])
        except (ValueError, KeyError, TypeError) as error:
            raise q2_signing.BadSignature("This is not a task of ours") from error
        if task.get("func") not in {SHIFT, *conf.PERIODIC_JOBS} or stored.get("args") or stored.get("kwargs"):
            raise q2_signing.BadSignature(f"{task.get('func')!r} is not on the list of what may run")
        return {**task, "args": (), "kwargs": {}}


q2_signing.PickleSerializer = ListedTasks


class OutboxBroker(ORM):  # type: ignore[misc]  # django-q2 ships no types
    """Hands out periodic jobs that are due, and endless shifts. Paced by the workers through `queue_limit`."""

    _looked_at = 0.0

    def dequeue(self) -> list[tuple[int | None, str]]:
        """Return the periodic jobs that are due, and one shift."""
        return [*self._periodic_jobs(), (None, q2_signing.SignedPackage.dumps(self._shift()))]

    def _periodic_jobs(self) -> list[tuple[int | None, str]]:
        if time.monotonic() - self._looked_at < SCHEDULED_TASKS_EVERY_SECONDS:
            return []
        self._looked_at = time.monotonic()
        try:
            waiting = OrmQ.objects.filter(key=self.list_key, lock__lt=timezone.now()).exists()
            return (super().dequeue() or []) if waiting else []
        except DatabaseError as error:
            log.warning("periodic_jobs_unreadable", error=str(error))
            connection.close()  # nothing else in this process would ever replace a session that was cut
            return []

    @staticmethod
    def _shift() -> dict[str, Any]:
        name, identity = task_identity()
        started = timezone.now().isoformat()
        return {"id": identity, "name": name, "func": SHIFT, "started": started, "save": False}

    def fail(self, task_id: int) -> None:
        """Set a refused task aside for a day, where it can be looked at, instead of deleting it silently."""
        log.error("task_refused", id=task_id)
        OrmQ.objects.filter(id=task_id).update(lock=timezone.now() + timedelta(days=1))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(CRASHED)  # the parent ended before we asked


def note_role(role: str) -> None:
    """Write down which process plays which role, for the supervisor's list of processes."""
    if conf.RUN_DIR:
        Path(conf.RUN_DIR, f"{role}-{os.getpid()}").touch()


def _child(role: str, parent: int, target: Any, arguments: tuple[Any, ...]) -> None:
    die_with_parent(parent)
    note_role(role)
    target(*arguments)
    if role == "worker":
        shift.sign_out()


class CrashOnlySentinel(Sentinel):  # type: ignore[misc]  # django-q2 ships no types
    """Ends the whole cluster when a process dies where it may have held one of django-q2's locks."""

    _ROLES = {q2_cluster.worker: "worker", q2_cluster.pusher: "pusher", q2_cluster.monitor: "monitor"}

    def spawn_process(self, target: Any, *args: Any) -> Any:
        """Start a child that does not outlive this process."""
        process: Any = FORK.Process(target=_child, args=(self._ROLES[target], os.getpid(), target, args))
        process.daemon = True
        if target is q2_cluster.worker:
            process.timer = args[2]
            self.pool.append(process)
        process.start()
        return process

    def reincarnate(self, process: Any) -> None:
        """Replace a worker that died in its shift or was recycled; crash for any other death."""
        in_shift_or_orderly = process in self.pool and process.timer.value != -1
        if not in_shift_or_orderly:
            log.error("cluster_crashes", reason="a process died outside a shift", pid=process.pid)
            os._exit(CRASHED)  # the children follow (die_with_parent)
        super().reincarnate(process)

    def stop(self) -> None:
        """Let workers end their shifts early, then stop as usual."""
        _stopping.value = True
        super().stop()


def _sentinel(parent: int, *arguments: Any) -> None:
    die_with_parent(parent)
    note_role("sentinel")
    CrashOnlySentinel(*arguments)


class OutboxCluster(Cluster):  # type: ignore[misc]  # django-q2 ships no types
    """The main process: starts the sentinel, passes on stops, and notices when nothing moves any more."""

    def start(self) -> int:
        """Start the sentinel; it starts the others."""
        self.stop_event, self.start_event = Event(), Event()
        _last_shift_at.value = time.monotonic()
        arguments = (os.getpid(), self.stop_event, self.start_event, self.cluster_id, self.broker, self.timeout)
        self.sentinel = FORK.Process(target=_sentinel, args=arguments)
        self.sentinel.start()
        return int(self.pid)

    def watch(self) -> int:
        """Wait for the end; return the exit code: 0 after an orderly stop."""
        while self.sentinel.is_alive():
            self.sentinel.join(0.5)
            silent = time.monotonic() - _last_shift_at.value
            if silent > SILENCE_UNTIL_RESTART_SECONDS and self.stop_event and not self.stop_event.is_set():
                log.error("cluster_stuck", silent_seconds=round(silent))
                self.sentinel.kill()
        return 0 if self.sentinel.exitcode == 0 else 1


def sync_schedules() -> None:
    """Make django-q2's schedules those of conf.PERIODIC_JOBS (function → minutes), and no others."""
    Schedule.objects.exclude(func__in=conf.PERIODIC_JOBS).delete()
    for function, minutes in conf.PERIODIC_JOBS.items():
        Schedule.objects.update_or_create(
            func=function,
            defaults={"name": function, "schedule_type": Schedule.MINUTES, "minutes": minutes, "repeats": -1},
        )


def run_cluster() -> None:
    """Run a worker cluster until it is stopped; leaves the process with a non-zero code when it crashed."""
    sync_schedules()
    cluster = OutboxCluster()
    cluster.start()
    sys.exit(cluster.watch())
