"""Which sagas there are, and who is told what happens to them."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from outbox.contracts import Event
from outbox.errors import SagaError
from outbox.models import Saga
from outbox.sagas.definition import Saga as Definition


@dataclass(frozen=True)
class Change:
    """What happened to a saga, as its observer is told."""

    kind: str
    """step_began, step_done, step_failed, compensating, completed, compensated, stuck or resumed."""
    step: str
    reason_code: str = ""
    reason: str = ""


Observer = Callable[[Saga, Change], None]
Lock = Callable[[UUID], None]


def lock_nothing(_key: UUID) -> None:
    """The lock of an owner who has no row of its own."""


@dataclass(frozen=True)
class Registered:
    """A definition, who is told of its changes, and who brings it its replies."""

    definition: Definition
    observer: Observer
    follower: str
    """The consumer that hands replies to `handle`."""
    lock: Lock
    """Locks, by the saga's key, what the observer changes: it comes before the saga in the order of locks."""


_registry: dict[tuple[str, int], Registered] = {}


def register(definition: Definition, observer: Observer, *, follower: str = "", lock: Lock = lock_nothing) -> None:
    """Make a definition known, with its observer. Older versions stay registered while instances run on them."""
    _registry[definition.name, definition.version] = Registered(definition, observer, follower, lock)


def registered() -> list[Registered]:
    """Return every definition with what was registered for it."""
    return [entry for _, entry in sorted(_registry.items(), key=lambda item: item[0])]


def definitions() -> list[Definition]:
    """Return every registered definition."""
    return [entry.definition for entry in registered()]


def definition_of(saga: Saga) -> Definition:
    """Return the definition that `saga` runs on. Raises SagaError for one this release does not know."""
    return _entry(saga).definition


def key_in(definition_name: str, reply: Event) -> UUID:
    """Return the key of the saga of this name that `reply` belongs to."""
    of_name = [entry.definition for (name, _), entry in _registry.items() if name == definition_name]
    fields = [found[type(reply)] for found in (each.key_fields() for each in of_name) if type(reply) in found]
    key: UUID = getattr(reply, fields[0] if fields else of_name[0].key)
    return key


def tell(saga: Saga, change: Change) -> None:
    """Tell the observer of `saga` what happened, in the open unit of work."""
    _entry(saga).observer(saga, change)


def _entry(saga: Saga) -> Registered:
    try:
        return _registry[saga.definition, saga.version]
    except KeyError:
        raise SagaError(f"This release does not know {saga.definition} v{saga.version}") from None
