"""Whose turn it is: no caller occupies all threads of the synchronous site, however much it asks for at once.

A caller's requests run side by side up to a share of the threads; those beyond wait here, where waiting costs no
thread, and others pass them. (docs/decisions/0020)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from config.waiting.inner import Application, Receive, Scope, Send, header
from config.waiting.refusals import refuse
from orders.callers import customer_behind

API = "/api/"
MOST_IN_LINE = 1_000
"""Requests of one caller that a process has under way or waiting; one more is refused."""


@dataclass
class _Line:
    """The requests of one caller."""

    seats: asyncio.Semaphore
    length: int = 0


class TooLong(Exception):
    """The caller has MOST_IN_LINE requests under way already."""


class Turns:
    """Hands out turns, `at_once` to each caller."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Wait for one of the caller's turns and hold it. Raises TooLong."""
        line = self._lines.setdefault(caller, _Line(asyncio.Semaphore(self._at_once)))
        if line.length >= MOST_IN_LINE:
            raise TooLong
        line.length += 1
        try:
            async with line.seats:
                yield
        finally:
            line.length -= 1
            if line.length == 0:
                self._lines.pop(caller, None)


class InTurn:
    """The site, asked by each caller in its turn."""

    def __init__(self, site: Application, threads: int) -> None:
        self._site = site
        self._turns = Turns(share_of(threads))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = caller_in(scope)
        if caller is None:
            await self._site(scope, receive, send)
            return
        try:
            async with self._turns.turn(caller):
                await self._site(scope, receive, send)
        except TooLong:
            detail = f"You have {MOST_IN_LINE} requests under way. Wait for some of their answers first."
            await refuse(scope, send, "rate_limited", detail)


def share_of(threads: int) -> int:
    """Return how many of a process's threads one caller may occupy."""
    return max(1, threads * 3 // 4)


def caller_in(scope: Scope) -> str | None:
    """Return who asks, as far as it is known before the site looks: the customer, else the address.

    None for what is not the customers' door.
    """
    if not scope["path"].startswith(API):
        return None
    customer = customer_behind(header(scope, b"authorization"))
    if customer is not None:
        return str(customer)
    client = scope.get("client")
    return f"address {client[0]}" if client else "address"
