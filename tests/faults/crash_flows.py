"""Flows that are killed at every point, and what must be true of each when a worker has gone on with it."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from outbox.consumers import Incoming, consumer, external_consumer, subscribers
from outbox.context import scope
from outbox.contracts import Command, Semantics, contract
from outbox.models import Delivery, Message, Receipt, Saga
from outbox.publishing import publish, send, unit_of_work
from outbox.sagas import engine
from tests.lab.commands import Note, Noted
from tests.lab.handlers import QUICK
from tests.lab.models import Effect, Outside
from tests.lab.ordered import Turn
from tests.lab.trip import TRIP, Booked, Refused

LEDGER = "TANDEM_LAB_LEDGER"
"""Names the file that stands for the outside world: what was told to it stays told, whoever dies."""


def nothing_happens(_: str) -> None:
    """Let the call pass."""


passing: Callable[[str], None] = nothing_happens
"""Told of every call before it is made, and before its answer is taken in; may kill the process."""


@contract("lab.relay", version=1, owner="lab", aggregate="bench", key="bench_id")
class Relay(Command):
    """Write one effect and pass it on, one message a transaction."""

    bench_id: UUID
    number: int


@consumer(Relay, name="lab.relay", batch=1, retry=QUICK)
def relay(command: Relay, message: Incoming) -> None:
    Effect.objects.create(message_id=message.id, label="relay", number=command.number)
    publish(Noted(bench_id=command.bench_id, number=command.number))


@contract("lab.tell", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Tell(Command):
    """Tell the outside world."""

    bench_id: UUID
    number: int


@external_consumer(Tell, name="lab.tell", destination="lab_outside", retry=QUICK)
class Telling:
    """Makes a key at random and keeps it: whoever repeats the call must find it again."""

    def prepare(self, command: Tell, message: Incoming) -> Outside:
        return Outside.objects.get_or_create(number=command.number, defaults={"key": uuid4().hex})[0]

    def call(self, plan: Outside) -> str:
        passing("the call is made")
        with Path(os.environ[LEDGER]).open("a") as ledger:
            ledger.write(json.dumps([plan.number, plan.key]) + "\n")
        passing("the answer comes")
        return plan.key

    def record(self, command: Tell, message: Incoming, plan: Outside, result: str) -> None:
        Effect.objects.create(message_id=message.id, label="told", number=command.number)


@contract(
    "lab.flare",
    version=1,
    owner="lab",
    aggregate="bench",
    key="bench_id",
    semantics=Semantics.AT_MOST_ONCE,
    expires_after=timedelta(minutes=5),
)
class Flare(Command):
    """Tell the outside world something that it must not be told twice."""

    bench_id: UUID
    number: int


@external_consumer(Flare, name="lab.flare", destination="lab_outside", retry=QUICK)
class Flaring(Telling):
    """Tells it as the other does, once or not at all."""


@dataclass(frozen=True)
class Flow:
    """Something to work off: how it is given, and all that it must lead to, no more and no less."""

    name: str
    give: Callable[[int], None]
    messages: dict[str, int]
    effects: dict[str, int]
    saga: tuple[str, list[str]] | None = None
    """The saga's status and those of its steps."""
    tells: bool = False
    in_order: bool = False
    """The effects must be in the order of their messages."""
    perhaps: bool = False
    """Where a worker died, it may also not have happened; but never twice."""
    given: dict[int, UUID] = field(default_factory=dict)
    """The conversation of each number."""

    def begin(self, number: int) -> None:
        """Put its messages into the queue."""
        self.given[number] = uuid4()
        with scope(correlation_id=self.given[number]), unit_of_work():
            self.give(number)

    def wrong(self, number: int, *, died: bool = False) -> list[str]:
        """Say what is not as it must be, after a worker `died` over it or not."""
        lost = died and self.perhaps
        messages = list(Message.objects.filter(correlation_id=self.given[number]).values_list("id", "name"))
        ids = [message_id for message_id, _ in messages]
        owed = Counter((message_id, consumer) for message_id, name in messages for consumer in subscribers(name))
        receipts = Counter(Receipt.objects.filter(message_id__in=ids).values_list("message_id", "consumer"))
        done = list(Effect.objects.filter(message_id__in=ids).order_by("id").values_list("label", "message_id"))
        effects = Counter(label.partition(" ")[0] for label, _ in done)
        checks = {
            f"messages {messages}": Counter(name for _, name in messages) == self.messages,
            f"effects {effects}": effects == self.effects or (lost and not effects),
            f"receipts {receipts}, owed {owed}": receipts == owed,
            "something is left in the queue": not Delivery.objects.filter(message_id__in=ids).exists(),
            f"order of {done}": not self.in_order or done == sorted(done),
            f"saga {self._saga(number)}": self._saga(number) == self.saga,
            f"outside {told(number)}": self._told_as_promised(told(number), lost=lost),
        }
        return [words for words, holds in checks.items() if not holds]

    def _told_as_promised(self, keys: list[str], *, lost: bool) -> bool:
        if self.perhaps:
            return len(keys) == 1 or (lost and not keys)
        return self.tells == bool(keys) and len(set(keys)) <= 1

    def _saga(self, number: int) -> tuple[str, list[str]] | None:
        saga = Saga.objects.filter(correlation_id=self.given[number]).first()
        steps = [] if saga is None else list(saga.steps.order_by("position").values_list("status", flat=True))
        return saga and (saga.status, steps)


def told(number: int) -> list[str]:
    """Return the keys with which the outside world was told of `number`, in order."""
    lines = [json.loads(line) for line in Path(os.environ[LEDGER]).read_text().splitlines()]
    return [key for told_number, key in lines if told_number == number]


def _batch(number: int) -> None:
    for _ in range(5):
        send(Note(bench_id=uuid4(), number=number))


def _in_order(number: int) -> None:
    bench_id = uuid4()
    for _ in range(3):
        send(Turn(bench_id=bench_id, number=number))


def _saga_told(reply: Callable[[UUID], Booked | Refused]) -> Callable[[int], None]:
    def give(_: int) -> None:
        trip_id = uuid4()
        engine.start(TRIP, key=trip_id, data={"trip_id": str(trip_id)})
        publish(reply(trip_id))

    return give


FLOWS = [
    Flow(
        "a batch that publishes",
        _batch,
        messages={"lab.note": 5, "lab.noted": 5},
        effects={"note": 5, "noted": 5},
    ),
    Flow(
        "one message that publishes",
        lambda number: send(Relay(bench_id=uuid4(), number=number)),
        messages={"lab.relay": 1, "lab.noted": 1},
        effects={"relay": 1, "noted": 1},
    ),
    Flow(
        "a call to the outside",
        lambda number: send(Tell(bench_id=uuid4(), number=number)),
        messages={"lab.tell": 1},
        effects={"told": 1},
        tells=True,
    ),
    Flow(
        "a call that is made at most once",
        lambda number: send(Flare(bench_id=uuid4(), number=number)),
        messages={"lab.flare": 1},
        effects={"told": 1},
        tells=True,
        perhaps=True,
    ),
    Flow(
        "messages of one ordering key",
        _in_order,
        messages={"lab.turn": 3},
        effects={"turn": 3},
        in_order=True,
    ),
    Flow(
        "a saga that goes on",
        _saga_told(lambda trip_id: Booked(trip_id=trip_id)),
        messages={"lab.book_flight": 1, "lab.booked": 1},
        effects={"BookFlight": 1},
        saga=("running", ["done", "done", "running"]),
    ),
    Flow(
        "a saga that compensates",
        _saga_told(lambda trip_id: Refused(trip_id=trip_id, code="full", reason="No seat is left")),
        messages={"lab.book_flight": 1, "lab.refused": 1, "lab.cancel_flight": 1},
        effects={"BookFlight": 1, "CancelFlight": 1},
        saga=("compensating", ["done", "compensating"]),
    ),
]
