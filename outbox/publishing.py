"""Publishing messages together with the change they tell of: the unit of work.

A door (API view, staff view, admin action, dispatcher) opens one unit of work around one service call. Messages are
buffered and written in one statement right before COMMIT; whoever waits is rung right after it, in one trip with it.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

import msgspec
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from outbox import doorbell, ordering
from outbox.conf import conf
from outbox.consumers import fair_key, ordering_key, subscribers
from outbox.context import current
from outbox.contracts import Command, Contract, Event, Message, aggregate_id, contract_of, encode
from outbox.errors import ContractConflict, InvalidPayload, NoUnitOfWork, TransactionOpen
from outbox.postgresql.arrays import array

MAX_PAYLOAD_BYTES = 65_536

P = ParamSpec("P")
R = TypeVar("R")


class MessageRow(NamedTuple):
    """One message as its columns."""

    id: UUID
    name: str
    version: int
    kind: str
    aggregate: str
    aggregate_id: UUID
    payload: str
    headers: str
    correlation_id: UUID
    causation_id: UUID | None
    actor: str


class DeliveryRow(NamedTuple):
    """One delivery as its columns; `delay` in seconds, None for at once."""

    message_id: UUID
    consumer: str
    priority: int
    delay: float | None


@dataclass
class UnitOfWork:
    """What one transaction will say when it commits."""

    messages: list[MessageRow] = field(default_factory=list)
    deliveries: list[DeliveryRow] = field(default_factory=list)
    particular: list[ordering.ParticularDelivery] = field(default_factory=list)
    """Deliveries with an ordering key, a fair key or a deadline."""
    ended: set[ordering.Key] = field(default_factory=set)
    """Ordering keys of which something has ended, so that the next may begin."""
    rings: set[tuple[str, str]] = field(default_factory=set)
    soonest: float = math.inf
    """In how many seconds from `began` the first of the timers is due that were set."""
    began: float = field(default_factory=time.monotonic)

    def set_timer(self, seconds: float) -> None:
        """Have workers woken in time for something that is due `seconds` after this transaction began."""
        self.soonest = min(self.soonest, seconds)

    def add(
        self,
        message: Message,
        declared: Contract,
        delay: timedelta | None = None,
        priority: int = 0,
        deliver_by: datetime | timedelta | None = None,
    ) -> UUID:
        """Take a message in; its rows are written at the end."""
        payload = encode(message)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidPayload(f"{declared.name} has {len(payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
        context, message_id = current(), uuid7()
        self.messages.append(
            MessageRow(
                message_id,
                declared.name,
                declared.version,
                declared.kind.value,
                declared.aggregate,
                aggregate_id(message),
                payload.decode(),
                msgspec.json.encode({"release": conf.RELEASE, **context.headers}).decode(),
                context.correlation_id or message_id,
                context.causation_id,
                context.actor,
            )
        )
        seconds = delay.total_seconds() if delay else None
        deadline, allowed = _deadline(deliver_by, declared, delay)
        for name in subscribers(declared.name):
            key, fair = ordering_key(name, message), fair_key(name, message)
            if key is None and fair is None and deadline is None and allowed is None:
                self.deliveries.append(DeliveryRow(message_id, name, priority, seconds))
            else:
                self.particular.append(
                    ordering.ParticularDelivery(message_id, name, priority, seconds, deadline, allowed, key, fair)
                )
            if seconds is None:
                self.rings.add((doorbell.WORK, name))
            else:
                self.set_timer(seconds)
        return message_id

    def flush(self) -> None:
        """Write the buffered messages and their deliveries in one statement; what concerns order follows in others."""
        if self.messages:
            self._flush_messages()
        if self.particular or self.ended:
            freed = ordering.write(self.particular, self.ended)
            for name, due_in in freed:
                if due_in is None:
                    self.rings.add((doorbell.WORK, name))
                else:
                    self.set_timer(due_in)
            self.particular.clear()
            self.ended.clear()

    def _flush_messages(self) -> None:
        columns = [array(column) for column in zip(*self.messages, strict=True)]
        queue = [array(column) for column in zip(*self.deliveries, strict=True)] or ["{}"] * len(DeliveryRow._fields)
        with connection.cursor() as cursor:
            if self.particular and not any(one.ordering_key for one in self.particular):
                cursor.execute(_INSERT_ALL, [*columns, *queue, *ordering.without_places(self.particular)])
                self.particular.clear()
            else:
                cursor.execute(_INSERT, [*columns, *queue])
        self.messages.clear()
        self.deliveries.clear()

    def ring(self) -> None:
        """Have COMMIT wake whom it concerns. A timer that is further off than a poll is found by the poll."""
        if self.soonest <= conf.POLL_SECONDS:
            self.rings.add((doorbell.WORK, doorbell.due_in(self.soonest - (time.monotonic() - self.began))))
        doorbell.ring_at_commit(self.rings)


_MESSAGES = """
WITH message AS (
    INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, headers,
                                correlation_id, causation_id, actor)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::uuid[], %s::jsonb[],
                         %s::jsonb[], %s::uuid[], %s::uuid[], %s::text[])
)
"""
_DELIVERIES = """INSERT INTO outbox_delivery (message_id, consumer, priority, state, due_at)
SELECT message_id, consumer, priority,
       CASE WHEN delay IS NULL THEN 'ready' ELSE 'scheduled' END,
       now() + make_interval(secs => delay)
FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::float[]) AS queue (message_id, consumer, priority, delay)
"""
_INSERT = _MESSAGES + _DELIVERIES
_INSERT_ALL = f"{_MESSAGES}, plain AS ({_DELIVERIES}) {ordering.INSERT}"
"""With deliveries that have a fair key or a deadline, and no order."""


def _deadline(
    deliver_by: datetime | timedelta | None, declared: Contract, delay: timedelta | None
) -> tuple[datetime | None, float | None]:
    """Return the earliest deadline as a moment, and as seconds from now. Raises ValueError for an impossible one."""
    moment = deliver_by if isinstance(deliver_by, datetime) else None
    spans = [span for span in (deliver_by, declared.expires_after) if isinstance(span, timedelta)]
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"deliver_by of {declared.name} must name its time zone")
    if spans and min(spans) <= (delay or timedelta(0)):
        raise ValueError(f"{declared.name} would have expired before it is due")
    return moment, min(spans).total_seconds() if spans else None


_unit: ContextVar[UnitOfWork | None] = ContextVar("outbox_unit_of_work", default=None)


@contextmanager
def unit_of_work() -> Iterator[UnitOfWork]:
    """Open THE transaction of a door: what is changed and what is said inside commit together, or not at all.

    Raises NoUnitOfWork when one is open already: a service never opens its own.
    """
    if _unit.get() is not None:
        raise NoUnitOfWork("A unit of work is already open here; only the door opens one")
    unit = UnitOfWork()
    token = _unit.set(unit)
    try:
        with transaction.atomic(durable=True):
            yield unit
            unit.flush()
            unit.ring()
    finally:
        _unit.reset(token)


def open_unit() -> UnitOfWork:
    """Return the unit of work that is open. Raises NoUnitOfWork."""
    unit = _unit.get()
    if unit is None:
        raise NoUnitOfWork("Nothing is published or changed outside a unit of work: open one at the door")
    return unit


def publish(event: Event, *, deliver_by: datetime | timedelta | None = None) -> UUID:
    """Tell what happened, to every consumer that cares; return the message's id.

    `deliver_by` is as for send(). Raises NoUnitOfWork.
    """
    declared = contract_of(event)
    if not isinstance(event, Event):
        raise ContractConflict(f"{declared.name} is a command: send it")
    return open_unit().add(event, declared, deliver_by=deliver_by)


def send(
    command: Command,
    *,
    delay: timedelta | None = None,
    deliver_by: datetime | timedelta | None = None,
    priority: int = 0,
) -> UUID:
    """Ask the one consumer of `command` to do it; return the message's id. Lower `priority` goes first.

    With `delay` it is due that long after the transaction began, by the database's clock; until it is begun it may be
    cancelled (cancelling.py). With `deliver_by`, a moment or a time from now, no attempt begins later: what nobody has
    begun by then has expired, and its receipt says so. Raises NoUnitOfWork.
    """
    declared = contract_of(command)
    if not isinstance(command, Command):
        raise ContractConflict(f"{declared.name} is an event: publish it")
    return open_unit().add(command, declared, delay, priority, deliver_by)


def conversation_of(subject_id: UUID) -> UUID | None:
    """Return the correlation id under which the aggregate `subject_id` was first spoken of, else the present one.

    A callback from outside belongs to that conversation, though its request knows nothing of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT correlation_id FROM outbox_message WHERE aggregate_id = %s ORDER BY id LIMIT 1", (subject_id,)
        )
        row: tuple[UUID] | None = cursor.fetchone()
    return row[0] if row else current().correlation_id


def announce(channel: str, payload: str) -> None:
    """Ring `channel` once this unit of work has committed (streams and waits listen). Raises NoUnitOfWork."""
    open_unit().rings.add((channel, payload))


def require_unit_of_work(service: Callable[P, R]) -> Callable[P, R]:
    """Make a service refuse to run outside a unit of work."""

    @functools.wraps(service)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        open_unit()
        return service(*args, **kwargs)

    return checked


def no_transaction_open() -> None:
    """Raise TransactionOpen inside a unit of work; adapters to the outside call it before they call."""
    if _unit.get() is not None:
        raise TransactionOpen("Nothing outside the database is called while a transaction is open")


__all__: list[Any] = [
    "announce",
    "conversation_of",
    "no_transaction_open",
    "publish",
    "require_unit_of_work",
    "send",
    "unit_of_work",
]
