"""Who is doing what, and because of what: carried from a door into every message and log line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Context:
    """The conversation that the present work belongs to."""

    correlation_id: UUID | None = None
    """The same for everything that follows from one request."""
    causation_id: UUID | None = None
    """The message being handled: the direct cause of what is published now."""
    actor: str = ""
    """Who started it, such as `customer:cus_…`, `staff:ada` or `system`."""
    headers: dict[str, Any] = field(default_factory=dict)
    """Further headers that messages published in this context inherit."""


_context: ContextVar[Context] = ContextVar("outbox_context", default=Context())  # noqa: B039 - frozen, never mutated


def current() -> Context:
    """Return the context of the present work; an empty one outside any scope."""
    return _context.get()


@contextmanager
def scope(**changes: Any) -> Iterator[Context]:
    """Work in a context that differs from the present one by `changes` (fields of Context)."""
    token = _context.set(replace(_context.get(), **changes))
    try:
        yield _context.get()
    finally:
        _context.reset(token)


def enter(context: Context) -> Context:
    """Make `context` the present one and return the former; for the dispatcher's inner loop, where `scope` is slow."""
    former = _context.get()
    _context.set(context)
    return former
