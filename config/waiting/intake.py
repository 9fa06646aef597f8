"""Taking a request in whole before a thread of the synchronous site begins with it.

A site on threads waits for a slow body with a thread in hand: a few slow callers would be enough to occupy them all.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from config.waiting.inner import Receive, Scope

MOST_HEADER_BYTES = 32_768
"""Of the address and all headers together."""
LONGEST_BODY_SECONDS = 20.0
MOST_BODY_BYTES = 1_048_576
"""Far above what any door of ours takes (each answers 413 itself); the rest of a larger body is not read."""


class CallerLeft(Exception):
    """The caller was gone before the whole request had arrived."""


class BodyTooSlow(Exception):
    """The body did not arrive within LONGEST_BODY_SECONDS."""


def header_bytes(scope: Scope) -> int:
    """Return how long the address and the headers are."""
    address = len(scope["path"]) + len(scope.get("query_string", b""))
    return address + sum(len(name) + len(value) for name, value in scope["headers"])


def plain_headers(scope: Scope) -> Scope:
    """Return the request without headers whose names contain an underscore.

    To a WSGI application `X_Forwarded_Proto` and `X-Forwarded-Proto` are one header; proxies only guard the second.
    """
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name]}


async def taken_in(receive: Receive) -> Receive:
    """Read the body, and return what hands it out again. Raises CallerLeft, BodyTooSlow."""
    try:
        async with asyncio.timeout(LONGEST_BODY_SECONDS):
            body = await _whole(receive)
    except TimeoutError:
        raise BodyTooSlow from None
    waiting: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return again


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while len(body) <= MOST_BODY_BYTES:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise CallerLeft
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body)
