"""A consumer that makes real HTTP calls, to a destination with few places."""

from dataclasses import dataclass
from uuid import UUID

from outbox.consumers import Incoming, external_consumer
from outbox.contracts import Command, Semantics, contract
from outbox.destinations import Destination
from outbox.http import Answer, Client
from tests.lab.models import Effect

PLACES = 20
client = Client()


@contract("lab.visit", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Visit(Command):
    """Call a server."""

    bench_id: UUID
    number: int
    url: str


@dataclass(frozen=True)
class Trip:
    url: str


@external_consumer(Visit, name="lab.visit", destination=Destination("lab.outside", concurrency=PLACES))
class Visiting:
    def prepare(self, command: Visit, message: Incoming) -> Trip:
        return Trip(f"{command.url}/{command.number}")

    def call(self, plan: Trip) -> Answer:
        return client.exchange("GET", plan.url)

    def record(self, command: Visit, message: Incoming, plan: Trip, result: Answer) -> None:
        Effect.objects.create(message_id=message.id, label=result.body.decode(), number=command.number)
