"""What one message's page tells: contract, standing, attempts, saga, and the conversation it belongs to."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from outbox import control
from outbox.admin.base import TONES, address, parse_id
from outbox.contracts import contract_named
from outbox.errors import ContractError, SagaError
from outbox.models import Attempt, Breaker, BreakerState, Delivery, DeliveryState, Message, Receipt, Saga
from outbox.queue_views import lines
from outbox.sagas.engine import definition_of

CONVERSATION = 200
"""Messages of a conversation that are shown."""
RELEASED_SHOWN = 5
"""Held messages that are named before their head is skipped."""


@dataclass(frozen=True)
class ContractFacts:
    """What the message's contract says, and whether the message fits it in this release."""

    known: bool
    kind: str = ""
    owner: str = ""
    promise: str = ""
    meaning: str = ""
    version: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a message stands with one consumer."""

    consumer: str
    state: str
    tone: str
    word: str
    href: str
    attempts: int
    row: Delivery | Receipt


@dataclass(frozen=True)
class Line:
    """One message of a conversation."""

    message: Message
    href: str
    standings: Sequence[Standing]
    here: bool


@dataclass(frozen=True)
class Try:
    """One failed attempt; `round` counts the times an operator put it back."""

    row: Attempt
    tone: str
    round: int
    begins_round: bool
    changed: bool
    """Its error differs from the one before."""


@dataclass(frozen=True)
class SagaPlace:
    """The saga that a message works for."""

    saga: Saga
    tone: str
    step: str
    href: str


@dataclass(frozen=True)
class Conversation:
    """The messages that share a correlation id, in time order."""

    lines: Sequence[Line]
    more: bool


def pretty(value: Any) -> str:
    """Return JSON as people read it, nothing lost."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def contract_facts(message: Message) -> ContractFacts:
    """Say what this release knows of the message's contract."""
    try:
        declared = contract_named(message.name)
    except ContractError as error:
        return ContractFacts(known=False, problem=str(error))
    problem = ""
    try:
        declared.decode(json.dumps(message.payload), message.version)
    except ContractError as error:
        problem = str(error)
    meaning = (declared.cls.__doc__ or "").strip().partition("\n\n")[0]
    kind, promise = declared.kind.value, declared.promise
    return ContractFacts(True, kind, declared.owner, promise, meaning, declared.version, problem)


def standings(message_ids: Sequence[UUID]) -> dict[UUID, list[Standing]]:
    """Return where each message stands with its consumers; two statements in all."""
    found: dict[UUID, list[Standing]] = defaultdict(list)
    for delivery in Delivery.objects.filter(message_id__in=message_ids).order_by("consumer"):
        dead = delivery.state == DeliveryState.DEAD
        href = address("deadletter" if dead else "delivery", delivery.id)
        word = delivery.get_state_display()
        found[delivery.message_id].append(
            Standing(delivery.consumer, delivery.state, TONES[delivery.state], word, href, delivery.attempts, delivery)
        )
    for receipt in Receipt.objects.filter(message_id__in=message_ids).order_by("consumer"):
        tone, word = TONES.get(receipt.outcome, "done"), receipt.outcome.capitalize()
        found[receipt.message_id].append(
            Standing(receipt.consumer, receipt.outcome, tone, word, "", receipt.attempts, receipt)
        )
    return found


def conversation(message: Message) -> Conversation:
    """Return the messages that share the message's correlation id."""
    rows = list(Message.objects.filter(correlation_id=message.correlation_id).order_by("id")[: CONVERSATION + 1])
    shown = rows[:CONVERSATION]
    where = standings([row.id for row in shown])
    lines = [Line(row, address("message", row.id), where[row.id], row.id == message.id) for row in shown]
    return Conversation(lines, more=len(rows) > CONVERSATION)


def tries(message_id: UUID, consumer: str | None = None) -> list[Try]:
    """Return the failed attempts in time order; of one consumer when given."""
    condition = Q(message_id=message_id) if consumer is None else Q(message_id=message_id, consumer=consumer)
    found: list[Try] = []
    last: dict[str, Try] = {}
    for row in Attempt.objects.filter(condition).order_by("id"):
        before = last.get(row.consumer)
        again = before is not None and row.kind != "crash" and row.number <= before.row.number
        count = before.round + again if before else 1
        changed = before is not None and before.row.fingerprint != row.fingerprint
        last[row.consumer] = Try(row, TONES.get(row.kind, "attention"), count, again, changed)
        found.append(last[row.consumer])
    return found


def saga_place(message: Message) -> SagaPlace | None:
    """Return the saga and the step that the message works for; None when it works for none."""
    saga_id = parse_id(str(message.headers.get("saga", "")))
    saga = Saga.objects.filter(id=saga_id).first() if saga_id else None
    if saga is None:
        return None
    step = step_label(saga, str(message.headers.get("step", "")))
    return SagaPlace(saga, TONES[saga.status], step, address("saga", saga.id))


def step_label(saga: Saga, name: str) -> str:
    """Return a step's words for people; its name when this release does not know the definition."""
    try:
        steps = definition_of(saga).steps
    except SagaError:
        return name
    return next((step.label for step in steps if step.name == name), name)


def held_back(row: Delivery) -> list[str]:
    """Say how many messages a dead letter holds back, and what lets them go."""
    line = lines([row]).get((row.consumer, row.ordering_key or ""))
    if line is None or not line.held:
        return []
    return [
        f"It holds back {line.held} of {row.ordering_key}, which {row.consumer} handles in order: they go on when it "
        "is done after a retry, or when it is discarded or skipped."
    ]


@dataclass(frozen=True)
class Released:
    """What would go on when the head of an ordering key is passed over."""

    key: str
    count: int
    next: Sequence[tuple[int, str]]
    """Delivery and message of those that come first, in their order."""


def released_by(row: Delivery) -> Released | None:
    """Return what skipping a dead letter lets go; None when it holds nothing back."""
    line = lines([row]).get((row.consumer, row.ordering_key or ""))
    if line is None or line.head != row.id or not line.held:
        return None
    name = Subquery(Message.objects.filter(id=OuterRef("message_id")).values("name")[:1])
    held = Delivery.objects.filter(consumer=row.consumer, ordering_key=row.ordering_key, state=DeliveryState.HELD)
    first = held.annotate(message_name=name).order_by("place").values_list("id", "message_name")[:RELEASED_SHOWN]
    return Released(row.ordering_key or "", line.held, list(first))


def obstacles(consumer: str) -> list[str]:
    """Say what would keep a retried message waiting."""
    found = []
    if control.is_paused(consumer):
        found.append(f"{consumer} is paused: a retry waits until it is resumed.")
    closed = Q(state=BreakerState.CLOSED)
    for breaker in Breaker.objects.filter(~closed, consumers__contains=[consumer]):
        words = breaker.get_state_display().lower()
        found.append(f"The breaker of {breaker.destination!r} is {words}: a retry waits until it closes.")
    return found
