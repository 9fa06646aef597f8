"""A consumer that writes to customers, and is fair between them."""

from uuid import UUID

from outbox.consumers import Incoming, external_consumer
from outbox.contracts import Command, Semantics, contract
from outbox.destinations import Destination
from tests.lab.models import Effect

sent: list[tuple[str, int]] = []
"""What this process has sent, in order: (customer, number)."""


@contract("lab.letter", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Letter(Command):
    """Write to a customer."""

    bench_id: UUID
    customer: str
    number: int


@external_consumer(
    Letter,
    name="lab.letter",
    destination=Destination("lab.post", concurrency=4),
    fair_by=lambda letter: letter.customer,
)
class Writing:
    def prepare(self, command: Letter, message: Incoming) -> tuple[str, int]:
        return command.customer, command.number

    def call(self, plan: tuple[str, int]) -> None:
        sent.append(plan)

    def record(self, command: Letter, message: Incoming, plan: tuple[str, int], result: None) -> None:
        Effect.objects.create(message_id=message.id, label=command.customer, number=command.number)
