"""Consumers that write first and then answer what the test tells them to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from outbox.consumers import Incoming, Received, consumer, consumer_of_many, external_consumer
from outbox.contracts import Command, Event, Semantics, contract
from outbox.outcomes import Failure, NotDone
from outbox.publishing import publish
from outbox.retry import Kind, RetryPolicy, by_type
from tests.lab.models import Effect

answers: dict[int, Any] = {}
"""What the handlers answer about a number; an exception is raised."""
asked: dict[int, int] = {}
"""How often each number was tried."""


class OutOfPaper(Exception):
    """It may work once somebody brings some."""


class Busy(Exception):
    """Asks for a pause."""

    retry_after = 0.3


class WrongAddress(ValueError):
    """Will never arrive."""


POLICY = RetryPolicy(
    attempts=3,
    base_seconds=0.05,
    cap_seconds=0.1,
    deadline=timedelta(minutes=1),
    classify=by_type({OutOfPaper: Kind.TRANSIENT, Busy: Kind.THROTTLED, ValueError: Kind.PERMANENT}),
)


@contract("lab.print", version=1, owner="lab", aggregate="bench", key="bench_id")
class Print(Command):
    """Print a page."""

    bench_id: UUID
    number: int


@contract("lab.print_many", version=1, owner="lab", aggregate="bench", key="bench_id")
class PrintMany(Command):
    """Print a page together with others."""

    bench_id: UUID
    number: int


@contract("lab.mail", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Mail(Command):
    """Have a page mailed by someone."""

    bench_id: UUID
    number: int
    step: str = "call"
    """Which of prepare, call and record gives the answer."""


@contract("lab.printed", version=1, owner="lab", aggregate="bench", key="bench_id")
class Printed(Event):
    """A page was printed."""

    bench_id: UUID
    number: int


def answer(number: int) -> Any:
    """Give the answer that the test has prepared for a number."""
    asked[number] = asked.get(number, 0) + 1
    told = answers.get(number)
    if isinstance(told, Exception):
        raise told
    return told


@consumer(Print, name="lab.print", batch=10, retry=POLICY)
def print_page(command: Print, message: Incoming) -> NotDone | None:
    Effect.objects.create(message_id=message.id, label="printed", number=command.number)
    publish(Printed(bench_id=command.bench_id, number=command.number))
    told: NotDone | None = answer(command.number)
    return told


@consumer_of_many(PrintMany, name="lab.print_many", batch=10, retry=POLICY)
def print_many(received: Sequence[Received]) -> dict[UUID, NotDone]:
    Effect.objects.bulk_create(
        Effect(message_id=one.message.id, label="printed", number=one.payload.number) for one in received
    )
    told = {one.message.id: answer(one.payload.number) for one in received}
    return {message_id: instead for message_id, instead in told.items() if instead is not None}


@consumer(Printed, name="lab.count_pages", batch=50)
def count_pages(event: Printed, message: Incoming) -> None:
    Effect.objects.create(message_id=message.id, label="counted", number=event.number)


@dataclass(frozen=True)
class Plan:
    number: int
    step: str


@external_consumer(Mail, name="lab.mail", destination="lab_mail", retry=POLICY)
class Mailing:
    def prepare(self, command: Mail, message: Incoming) -> Plan | NotDone:
        Effect.objects.create(message_id=message.id, label="prepared", number=command.number)
        told = answer(command.number) if command.step == "prepare" else None
        return told or Plan(command.number, command.step)

    def call(self, plan: Plan) -> NotDone | None:
        told: NotDone | None = answer(plan.number) if plan.step == "call" else None
        return told

    def record(self, command: Mail, message: Incoming, plan: Plan, result: None) -> NotDone | None:
        Effect.objects.create(message_id=message.id, label="mailed", number=command.number)
        told: NotDone | None = answer(command.number) if command.step == "record" else None
        return told

    def failed(self, command: Mail, message: Incoming, plan: Plan, failure: Failure) -> None:
        label = f"failed {type(failure.error).__name__} unknown={failure.unknown} final={failure.final}"
        Effect.objects.create(message_id=message.id, label=label, number=command.number)
