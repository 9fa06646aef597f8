"""Contracts: what a message says, in which version, owned by whom. Pure: imports no Django.

A contract is a frozen class. Names are `app.what_happened` for events and `app.do_this` for commands; the class is
registered once, and every version that was ever sent can still be read (older ones through `upcast`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from outbox.errors import ContractConflict, InvalidPayload, UnknownContract


class Kind(StrEnum):
    """What a message is for."""

    EVENT = "event"
    COMMAND = "command"


class Semantics(StrEnum):
    """What the engine promises for a message of this contract."""

    EXACTLY_ONCE = "exactly once in effect"
    """Its consumers touch our database only: effect and acknowledgement are one transaction."""
    AT_LEAST_ONCE = "at least once"
    """A consumer calls someone outside: repeated after a crash, with the same idempotency key."""
    AT_MOST_ONCE = "at most once"
    """Acknowledged before the call: after a crash or a failure it is not repeated, and after its time not begun."""


class Ordering(StrEnum):
    """In which order each consumer of a contract gets its messages."""

    NONE = "none"
    """Any, unless the consumer asks for one."""
    PER_AGGREGATE = "per aggregate"
    """Those about one aggregate one at a time, in order of publication; each consumer has to ask for it."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of all contracts."""


class Event(Message, frozen=True, kw_only=True):
    """Something that happened; any number of consumers may care."""


class Command(Message, frozen=True, kw_only=True):
    """Something that shall be done; exactly one consumer does it."""


Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]
M = TypeVar("M", bound=type[Message])


@dataclass(frozen=True)
class Contract:
    """A registered message class and what was declared with it."""

    name: str
    version: int
    kind: Kind
    owner: str
    aggregate: str
    key: str
    cls: type[Message]
    semantics: Semantics
    needs_consumer: bool = True
    """False for an event that is offered to whoever cares, and may have no consumer."""
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    decoder: msgspec.json.Decoder[Any] = field(default_factory=msgspec.json.Decoder, repr=False, compare=False)
    expires_after: timedelta | None = None
    """How long after its publication a message may still be begun; None for ever."""
    ordering: Ordering = Ordering.NONE

    def decode(self, payload: bytes | str, version: int) -> Message:
        """Read `payload` (JSON text) of `version`, upcast to the newest.

        Raises UnknownContract for a version this release does not know, InvalidPayload when it does not fit.
        """
        try:
            if version == self.version:
                return self.decoder.decode(payload)  # type: ignore[no-any-return]
            return self._upcast(msgspec.json.decode(payload), version)
        except msgspec.DecodeError as error:
            raise InvalidPayload(f"{self.name} v{version}: {error}") from error

    def _upcast(self, payload: Payload, version: int) -> Message:
        while version != self.version:
            if version not in self.upcasters:
                raise UnknownContract(f"{self.name} v{version} is not known to this release (it knows v{self.version})")
            try:
                payload, version = self.upcasters[version](payload), version + 1
            except Exception as error:  # whatever an upcaster stumbles over: no later attempt can read it either
                raise InvalidPayload(f"{self.name} v{version}: {type(error).__name__}: {error}") from error
        return msgspec.convert(payload, self.cls)

    @property
    def promise(self) -> str:
        """What the engine promises of its delivery, in words."""
        words = [self.semantics.value]
        if self.expires_after is not None:
            words.append(f"begun within {self.expires_after.total_seconds():g} s")
        if self.ordering is Ordering.PER_AGGREGATE:
            words.append("in order per aggregate")
        return ", ".join(words)

    def readable_versions(self) -> list[int]:
        """Return the versions that `decode` reads, the newest first."""
        versions = [self.version]
        while versions[-1] - 1 in self.upcasters:
            versions.append(versions[-1] - 1)
        return versions

    def schema(self) -> dict[str, Any]:
        """Return the contract as a JSON Schema document (draft 2020-12)."""
        schema = msgspec.json.schema(self.cls)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{self.name}/v{self.version}",
            "x-kind": self.kind.value,
            "x-owner": self.owner,
            "x-aggregate": self.aggregate,
            "x-semantics": self.semantics.value,
            "x-ordering": self.ordering.value,
            **({"x-expires-after-seconds": self.expires_after.total_seconds()} if self.expires_after else {}),
            **schema,
        }


_by_name: dict[str, Contract] = {}
_by_class: dict[type[Message], Contract] = {}
_encoder = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")


def contract(
    name: str,
    *,
    version: int,
    owner: str,
    aggregate: str,
    key: str,
    semantics: Semantics = Semantics.EXACTLY_ONCE,
    needs_consumer: bool = True,
    upcasters: Mapping[int, Upcaster] | None = None,
    expires_after: timedelta | None = None,
    ordering: Ordering = Ordering.NONE,
) -> Callable[[M], M]:
    """Register the decorated Event or Command.

    `key` names the payload field that holds the id of the `aggregate`. `upcasters[n]` turns a payload of version n
    into one of version n + 1. An event that is only offered says `needs_consumer=False`. What nobody has begun
    `expires_after` its publication expires. Raises ContractConflict for a second class of that name or a wrong
    declaration.
    """

    def register(cls: M) -> M:
        if name in _by_name:
            raise ContractConflict(f"{name} is declared twice: {_by_name[name].cls.__qualname__}, {cls.__qualname__}")
        if key not in cls.__struct_fields__:
            raise ContractConflict(f"{name}: its key {key!r} is not a field of {cls.__qualname__}")
        kind = Kind.COMMAND if issubclass(cls, Command) else Kind.EVENT
        if kind is Kind.COMMAND and not needs_consumer:
            raise ContractConflict(f"{name}: a command always needs its consumer")
        entry = Contract(
            name,
            version,
            kind,
            owner,
            aggregate,
            key,
            cls,
            semantics,
            needs_consumer,
            upcasters or {},
            msgspec.json.Decoder(cls),
            expires_after,
            ordering,
        )
        _by_name[name] = _by_class[cls] = entry
        return cls

    return register


def contract_of(message: Message | type[Message]) -> Contract:
    """Return the contract of a message or its class. Raises UnknownContract for an undeclared class."""
    cls = message if isinstance(message, type) else type(message)
    try:
        return _by_class[cls]
    except KeyError:
        raise UnknownContract(f"{cls.__qualname__} has no @contract") from None


def contract_named(name: str) -> Contract:
    """Return the contract called `name`. Raises UnknownContract."""
    try:
        return _by_name[name]
    except KeyError:
        raise UnknownContract(f"No contract is called {name!r} in this release") from None


def all_contracts() -> list[Contract]:
    """Return every registered contract, sorted by name."""
    return [_by_name[name] for name in sorted(_by_name)]


def encode(message: Message) -> bytes:
    """Return the message as JSON; decimals as strings, so that nothing is rounded on the way."""
    return _encoder.encode(message)


def aggregate_id(message: Message) -> UUID:
    """Return the id of the aggregate the message is about."""
    value = getattr(message, contract_of(message).key)
    assert isinstance(value, UUID)
    return value
