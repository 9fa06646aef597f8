"""Consumers: who handles which message, and how. Handlers live in each app's `handlers.py`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from outbox.context import Context, enter
from outbox.contracts import Contract, Kind, Message, Ordering, Semantics, aggregate_id, all_contracts, contract_of
from outbox.destinations import Destination
from outbox.errors import ConsumerConflict
from outbox.outcomes import Failure, NotDone
from outbox.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a handler may know of its message besides the payload."""

    id: UUID
    type: str
    version: int
    correlation_id: UUID
    causation_id: UUID | None
    actor: str
    created_at: datetime
    attempt: int
    """Number of this attempt, from 1."""
    headers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a handler of many gets it."""

    payload: Any
    message: Incoming
    context: Context

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """What is published and logged inside belongs to this message."""
        former = enter(self.context)
        try:
            yield
        finally:
            enter(former)


Handler = Callable[[Any, Incoming], NotDone | None]
ManyHandler = Callable[[Sequence[Received]], Mapping[UUID, NotDone] | None]
"""May return by the message's id what it has not done; then all rolls back, and is given to it one by one."""
OrderBy = Callable[[Any], object]
"""Names the ordering key of a message, as any value with a telling str(); None for a message that needs no order."""
by_aggregate: OrderBy = aggregate_id
"""The usual ordering key: the aggregate that the message is about."""


class ExternalHandler(Protocol):
    """Calls someone outside in three steps; only the middle one is outside a transaction.

    Each step may return what kept it from its work (outbox.outcomes): snooze(), retry_after() or permanent(). A handler
    may also have `failed(payload, message, plan, failure)`, run in the transaction that records a failure.
    """

    def prepare(self, payload: Any, message: Incoming) -> Any | NotDone | None:
        """In a transaction: persist what is about to be tried; return the plan of the call, or None for no call."""

    def call(self, plan: Any) -> Any | NotDone:
        """Outside any transaction, in a thread, without the database: make the call; return what came of it."""

    def record(self, payload: Any, message: Incoming, plan: Any, result: Any) -> NotDone | None:
        """In a transaction, only while the lease holds: write what came of it."""


FailedHook = Callable[[Any, Incoming, Any, Failure], None]
H = TypeVar("H", bound=Handler)
S = TypeVar("S", bound=ManyHandler)
X = TypeVar("X", bound=type[ExternalHandler])


@dataclass(frozen=True)
class Consumer:
    """A transactional consumer: its handler touches our database only."""

    name: str
    contracts: tuple[Contract, ...]
    handler: Handler
    batch: int
    """Messages per transaction. 1 where the handler locks rows that requests lock, too."""
    retry: RetryPolicy | None
    order_by: OrderBy | None = None
    concurrency: int | None = None
    """Batches under way at once, over all workers; None for no limit."""
    handle_many: ManyHandler | None = None
    """Takes a batch at once, in place of `handler`."""
    max_pending: int | None = None
    """How much may be ready for it before bulk work waits (outbox/pressure.py); None for the setting's."""
    external: ClassVar[bool] = False


@dataclass(frozen=True)
class ExternalConsumer:
    """A consumer that calls someone outside any transaction."""

    name: str
    contracts: tuple[Contract, ...]
    handler: ExternalHandler
    calls: Destination
    """Who is called, with the limits that all its consumers share."""
    concurrency: int | None
    """Calls of this consumer in flight at once, over all workers; None for no limit but the destination's."""
    retry: RetryPolicy | None
    order_by: OrderBy | None = None
    fair_by: OrderBy | None = None
    max_pending: int | None = None
    """How much may be ready for it before bulk work waits (outbox/pressure.py); None for the setting's."""
    external: ClassVar[bool] = True

    @property
    def destination(self) -> str:
        """The name of who is called."""
        return self.calls.name

    @property
    def failed(self) -> FailedHook | None:
        """The handler's `failed`, where it has one."""
        return getattr(self.handler, "failed", None)


AnyConsumer = Consumer | ExternalConsumer
_consumers: dict[str, AnyConsumer] = {}
_subscribers: dict[str, tuple[str, ...]] = {}
_ordered: dict[str, OrderBy] = {}
_fair: dict[str, OrderBy] = {}
_destinations: dict[str, Destination] = {}


def _register(entry: AnyConsumer) -> None:
    if entry.name in _consumers:
        raise ConsumerConflict(f"Two consumers are called {entry.name!r}")
    for declared in entry.contracts:
        subscribed = _subscribers.get(declared.name, ())
        if declared.kind is Kind.COMMAND and subscribed:
            raise ConsumerConflict(f"The command {declared.name} is handled by {subscribed[0]} and {entry.name}")
        _subscribers[declared.name] = (*subscribed, entry.name)
    _consumers[entry.name] = entry
    if entry.order_by is not None:
        _ordered[entry.name] = entry.order_by
    if isinstance(entry, ExternalConsumer) and entry.fair_by is not None:
        _fair[entry.name] = entry.fair_by


def consumer(
    *messages: type[Message],
    name: str,
    batch: int = 1,
    retry: RetryPolicy | None = None,
    order_by: OrderBy | None = None,
    concurrency: int | None = None,
    max_pending: int | None = None,
) -> Callable[[H], H]:
    """Register the decorated function as a transactional consumer of `messages`.

    It runs inside the engine's unit of work; its effect and its acknowledgement are one transaction. `name` is
    permanent: it stands in the queue. With `order_by` (by_aggregate, or a function of the payload) the messages of one
    ordering key are handled one at a time, in order of publication. `concurrency` bounds the batches that all workers
    have under way at once. While more than `max_pending` are ready for it, replays and other bulk work wait. A handler
    that cannot do its work returns why (outbox.outcomes): nothing of what it wrote stays then, and the rest of its
    batch is done all the same. Raises ConsumerConflict.
    """

    def register(handler: H) -> H:
        contracts = tuple(contract_of(m) for m in messages)
        _register(Consumer(name, contracts, handler, batch, retry, order_by, concurrency, max_pending=max_pending))
        return handler

    return register


def consumer_of_many(
    *messages: type[Message],
    name: str,
    batch: int = 100,
    retry: RetryPolicy | None = None,
    order_by: OrderBy | None = None,
    concurrency: int | None = None,
    max_pending: int | None = None,
) -> Callable[[S], S]:
    """Register the decorated function as a transactional consumer that handles up to `batch` messages at once.

    For work that one statement can do for all of them. When it fails, everything rolls back and it is called again with
    one message at a time, so that only the bad one fails; likewise when it returns, by their ids, what was not done and
    why. Otherwise as consumer(). Raises ConsumerConflict.
    """

    def register(handle_many: S) -> S:
        contracts = tuple(contract_of(m) for m in messages)
        _register(
            Consumer(name, contracts, _only_of_many, batch, retry, order_by, concurrency, handle_many, max_pending)
        )
        return handle_many

    return register


def _only_of_many(payload: Any, message: Incoming) -> None:
    raise AssertionError("A consumer of many is called with all of a batch")


def external_consumer(
    *messages: type[Message],
    name: str,
    destination: Destination | str,
    concurrency: int | None = None,
    retry: RetryPolicy | None = None,
    order_by: OrderBy | None = None,
    fair_by: OrderBy | None = None,
    max_pending: int | None = None,
) -> Callable[[X], X]:
    """Register the decorated class (an ExternalHandler) as a consumer that calls `destination`.

    A name stands for a destination with the usual limits. `order_by` and `max_pending` are as for consumer(). With
    `fair_by` (by_actor, or a function of the payload) calls for different keys take turns, so that one customer's
    thousands do not keep another's single one waiting. Raises ConsumerConflict, also when a destination of that name is
    declared with other limits.
    """
    called = _declared(destination if isinstance(destination, Destination) else Destination(destination))

    def register(handler: X) -> X:
        contracts = tuple(contract_of(m) for m in messages)
        _register(
            ExternalConsumer(name, contracts, handler(), called, concurrency, retry, order_by, fair_by, max_pending)
        )
        return handler

    return register


def _declared(destination: Destination) -> Destination:
    known = _destinations.setdefault(destination.name, destination)
    if known != destination:
        raise ConsumerConflict(f"The destination {destination.name!r} is declared twice, with different limits")
    return known


def all_destinations() -> list[Destination]:
    """Return every destination that some consumer calls, sorted by name."""
    return [_destinations[name] for name in sorted(_destinations)]


def subscribers(message_name: str) -> tuple[str, ...]:
    """Return the names of the consumers of a message."""
    return _subscribers.get(message_name, ())


def ordering_key(name: str, message: Message) -> str | None:
    """Return what `message` is ordered by with the consumer called `name`; None when it needs no order there."""
    order_by = _ordered.get(name)
    key = order_by(message) if order_by else None
    return None if key is None else str(key)


def fair_key(name: str, message: Message) -> str | None:
    """Return for whom `message` is done with the consumer called `name`; None when that one is not fair by keys."""
    fair_by = _fair.get(name)
    return None if fair_by is None else str(fair_by(message) or "")


def find(name: str) -> AnyConsumer | None:
    """Return the consumer called `name`, or None when this release has none."""
    return _consumers.get(name)


def all_consumers() -> list[AnyConsumer]:
    """Return every consumer, sorted by name."""
    return [_consumers[name] for name in sorted(_consumers)]


def problems() -> list[str]:
    """Say what is wrong between contracts and consumers: commands and events that nobody handles, broken promises."""
    found = []
    for declared in all_contracts():
        names = subscribers(declared.name)
        if not names and declared.needs_consumer:
            found.append(f"{declared.name} has no consumer")
        found += _broken_promises(declared, [_consumers[name] for name in names])
    return found


def _broken_promises(declared: Contract, consumers: list[AnyConsumer]) -> Iterator[str]:
    """Yield what a contract says of its delivery and cannot be kept."""
    promise = f"{declared.name} promises {declared.semantics}"
    external = [entry for entry in consumers if entry.external]
    if external and declared.semantics is Semantics.EXACTLY_ONCE:
        yield f"{promise}, but {external[0].name} calls someone outside"
    if declared.semantics is Semantics.AT_MOST_ONCE:
        if declared.expires_after is None:
            yield f"{promise}, but not for how long: it needs expires_after"
        for entry in external:
            if entry.order_by is not None:
                yield f"{promise}, so {entry.name} cannot hold back what comes after it until its call has ended"
    if declared.ordering is Ordering.PER_AGGREGATE:
        for entry in consumers:
            if entry.order_by is None:
                yield f"{declared.name} promises order per aggregate, but {entry.name} asks for none with order_by"
