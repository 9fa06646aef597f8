"""Handlers that behave as their message tells them to."""

import ctypes
import os
import resource
import signal
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from uuid import UUID

import psutil

from outbox.consumers import Incoming, Received, consumer, consumer_of_many, external_consumer
from outbox.outcomes import Failure, Permanent, Snooze, Throttled, Transient
from outbox.publishing import publish
from outbox.retry import RetryPolicy
from tests.lab import answers as answering
from tests.lab import letters, ordered, parcels, trip, visits
from tests.lab.commands import Call, CallToo, Gather, Idle, Note, Noted, Shout, Single
from tests.lab.models import Effect

__all__ = ["answering", "letters", "ordered", "parcels", "trip", "visits"]  # their consumers register themselves

QUICK = RetryPolicy(attempts=3, base_seconds=0.05, cap_seconds=0.2)
LINGER_SECONDS = 6.0
LEDGER = "TANDEM_LAB_CALLS"
"""Names the file that all processes write their calls to, as "message id, host": the outside sees them all."""
calls: Counter[int] = Counter()
"""Calls made by this process, by number."""
called_at: dict[int, float] = {}
"""When each number was called last."""
answers: dict[int, Event] = defaultdict(Event)
"""Holds back the answer to a call that is told to wait, by attempt."""


def _fill_memory() -> None:
    """Take more memory than the process may have: 64 MB above what it has, so that the machine notices nothing."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 64_000_000, resource.getrlimit(resource.RLIMIT_AS)[1]))
    hoard = []
    for size in (1_000_000, 1_000, 10):
        try:
            while True:
                hoard.append(bytearray(size))
        except MemoryError:
            if size == 10:
                raise


POISONS: dict[str, Callable[[], object]] = {
    "die": lambda: os._exit(9),
    "segfault": lambda: ctypes.string_at(0),
    "oom_killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fill_memory": _fill_memory,
}
"""Ways to take the whole process along."""


def behave(behaviour: str, message: Incoming) -> None:
    """Do what the message asks for."""
    if behaviour == "fail" or (behaviour == "fail_once" and message.attempt == 1):
        raise RuntimeError(f"told to fail {message.id}")
    if behaviour == "permanent":
        raise Permanent("told to give up")
    if behaviour in POISONS:
        POISONS[behaviour]()
    if behaviour == "snooze" and Effect.objects.filter(message_id=message.id).count() == 0:
        raise Snooze(timedelta(milliseconds=50), "told to wait")
    if behaviour == "slow":
        time.sleep(0.3)
    if behaviour == "linger":
        time.sleep(LINGER_SECONDS)


@consumer(Note, name="lab.note", batch=20, retry=QUICK)
def note(command: Note, message: Incoming) -> None:
    behave(command.behaviour, message)
    Effect.objects.create(message_id=message.id, label="note", number=command.number)
    publish(Noted(bench_id=command.bench_id, number=command.number))


@consumer(Noted, name="lab.noted", batch=50, retry=QUICK)
def noted(event: Noted, message: Incoming) -> None:
    Effect.objects.create(message_id=message.id, label="noted", number=event.number)


@consumer(Single, name="lab.single", batch=1, retry=QUICK)
def single(command: Single, message: Incoming) -> None:
    behave(command.behaviour, message)
    Effect.objects.create(message_id=message.id, label="single", number=command.number)


@consumer(Idle, name="lab.idle", batch=100)
def idle(command: Idle, message: Incoming) -> None:
    """Do nothing."""


gathered: list[int] = []
"""How many messages each call of `gather` was given."""


@consumer_of_many(Gather, name="lab.gather", batch=10, retry=QUICK)
def gather(received: Sequence[Received]) -> None:
    gathered.append(len(received))
    Effect.objects.bulk_create(
        Effect(message_id=one.message.id, label="gathered", number=one.payload.number) for one in received
    )
    for one in received:
        behave(one.payload.behaviour, one.message)
        with one.speaking():
            publish(Noted(bench_id=one.payload.bench_id, number=one.payload.number))


@dataclass(frozen=True)
class Plan:
    number: int
    behaviour: str
    attempt: int
    message_id: UUID


@external_consumer(Call, name="lab.call", destination="lab", retry=QUICK)
class Calling:
    def prepare(self, command: Call, message: Incoming) -> Plan | None:
        if command.behaviour == "skip":
            return None
        if command.behaviour == "prepare_fails":
            raise RuntimeError("told to fail while preparing")
        return Plan(command.number, command.behaviour, message.attempt, message.id)

    def call(self, plan: Plan) -> str:
        calls[plan.number] += 1
        called_at[plan.number] = time.monotonic()
        if ledger := os.environ.get(LEDGER):
            with Path(ledger).open("a") as book:
                book.write(f"{plan.message_id} {socket.gethostname()}\n")
        if plan.behaviour in POISONS:
            POISONS[plan.behaviour]()
        if plan.behaviour == "linger":
            time.sleep(LINGER_SECONDS)
        fail(plan)
        if plan.behaviour == "slow":
            time.sleep(0.2)
        if plan.behaviour == "wait":
            assert answers[plan.attempt].wait(10)
            return f"answer {plan.attempt}"
        return "answer"

    def record(self, command: Call, message: Incoming, plan: Plan, result: str) -> None:
        Effect.objects.create(message_id=message.id, label=result, number=command.number)
        if plan.behaviour == "record_fails" or (plan.behaviour == "record_fails_once" and plan.attempt == 1):
            raise RuntimeError("told to fail while recording")

    def failed(self, command: Call, message: Incoming, plan: Plan, failure: Failure) -> None:
        label = f"failed {failure.attempt} unknown={failure.unknown} final={failure.final}"
        Effect.objects.create(message_id=message.id, label=label, number=command.number)
        if plan.behaviour == "hook_fails":
            raise RuntimeError("told to fail while noting a failure")


@external_consumer(CallToo, name="lab.call_too", destination="lab", retry=QUICK)
class CallingToo(Calling):
    """Another consumer that calls the same destination."""


@external_consumer(Shout, name="lab.shout", destination="lab_shout", retry=QUICK)
class Shouting(Calling):
    """Calls as the others do, but never twice for one message."""


def fail(plan: Plan) -> None:
    """Fail the call as the plan says."""
    first = plan.attempt == 1
    if plan.behaviour in ("transient", "hook_fails") or (plan.behaviour == "transient_once" and first):
        raise Transient("told to fail")
    if plan.behaviour == "unknown":
        raise Transient("no answer", unknown=True)
    if plan.behaviour == "crash":
        raise ZeroDivisionError("told to stumble")
    if plan.behaviour == "throttled" and calls[plan.number] == 1:
        raise Throttled("slow down", retry_after=0.3)
    if plan.behaviour == "permanent":
        raise Permanent("told to give up")
