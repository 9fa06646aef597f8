"""Where the events that are sent come from: an upper app says so, once, and this one knows no more of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Offer:
    """An event, as far as an endpoint's choice and order go."""

    owner_id: UUID
    """Whose endpoints may have it."""
    event_id: UUID
    type: str
    subject: str
    """What it is about: endpoints that ask for order get the events of one subject one after the other."""
    rank: int
    """Grows within a subject."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An event as it is sent."""

    webhook_id: str
    """The same however often it is sent: receivers know repetitions by it."""
    body: bytes


class Source(Protocol):
    """What an upper app answers about its events, inside the transaction of whoever asks."""

    def letters(self, event_ids: Collection[UUID]) -> Mapping[UUID, Letter]:
        """Return the events as they are sent, those that still exist."""

    def since(self, owner_id: UUID, moment: datetime, after: int, limit: int) -> Sequence[tuple[int, Offer]]:
        """Return up to `limit` events of an owner that were written since `moment`, beyond the place `after`.

        Each comes with its place; places grow.
        """


_source: list[Source] = []


def register_source(source: Source) -> None:
    """Name where the events come from."""
    _source[:] = [source]


def the_source() -> Source:
    """Return where the events come from."""
    assert _source, "No app has registered a source of events"
    return _source[0]
