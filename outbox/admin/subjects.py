"""What a message is about, in the words of the domains: the engine knows none, so they say it themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Subject:
    """What a message is about, such as an order, and its page."""

    kind: str
    name: str
    href: str


Namer = Callable[[Mapping[str, Any]], Subject | None]
"""Reads a message's payload; None when the message is about nothing that the domain knows."""

_namers: list[Namer] = []


def names_subject(namer: Namer) -> Namer:
    """Let `namer` say what messages are about; used as a decorator in a domain's admin module."""
    _namers.append(namer)
    return namer


def subject_of(payload: Mapping[str, Any]) -> Subject | None:
    """Return what a message with this payload is about; None when no domain knows."""
    return next((subject for namer in _namers if (subject := namer(payload))), None)
