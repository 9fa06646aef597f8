"""Consumers that ask for order: by the aggregate, and by something the payload tells."""

from dataclasses import dataclass
from uuid import UUID

from outbox.consumers import Incoming, by_aggregate, consumer, external_consumer
from outbox.contracts import Command, Event, Semantics, contract
from outbox.outcomes import Permanent, Transient
from outbox.publishing import send
from outbox.retry import RetryPolicy
from tests.lab.models import Effect

QUICK = RetryPolicy(attempts=2, base_seconds=0.05, cap_seconds=0.1)
broken: set[int] = set()
"""Numbers whose handlers fail for the time being."""


@contract("lab.moved", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Moved(Event):
    """A bench was moved."""

    bench_id: UUID
    number: int
    town: str | None = None


@contract("lab.turn", version=1, owner="lab", aggregate="bench", key="bench_id")
class Turn(Command):
    """Take a turn, one after the other."""

    bench_id: UUID
    number: int
    behaviour: str = ""
    """"" | permanent | again"""


def stumble(number: int, behaviour: str = "") -> None:
    """Fail where the message or the test says so."""
    if behaviour == "permanent":
        raise Permanent("told to give up")
    if number in broken:
        raise Transient("told to fail")


@consumer(Turn, name="lab.turn", batch=10, retry=QUICK, order_by=by_aggregate)
def turn(command: Turn, message: Incoming) -> None:
    stumble(command.number, command.behaviour)
    Effect.objects.create(message_id=message.id, label=f"turn {command.bench_id}", number=command.number)
    if command.behaviour == "again":
        send(Turn(bench_id=command.bench_id, number=command.number + 10))


@consumer(Moved, name="lab.track", batch=10, retry=QUICK, order_by=by_aggregate)
def track(event: Moved, message: Incoming) -> None:
    stumble(event.number)
    Effect.objects.create(message_id=message.id, label=f"track {event.bench_id}", number=event.number)


@dataclass(frozen=True)
class Post:
    number: int


@external_consumer(
    Moved, name="lab.post", destination="lab_post", retry=QUICK, order_by=lambda event: event.town, concurrency=8
)
class Posting:
    """Tells a town of its benches, one after the other; those without a town in any order."""

    def prepare(self, event: Moved, message: Incoming) -> Post:
        return Post(event.number)

    def call(self, plan: Post) -> None:
        stumble(plan.number)

    def record(self, event: Moved, message: Incoming, plan: Post, result: None) -> None:
        Effect.objects.create(message_id=message.id, label=f"post {event.town}", number=event.number)
