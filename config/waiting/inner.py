"""Asking the synchronous site from inside the asynchronous layer."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from orders.callers import ASKED_AGAIN, ASKED_AGAIN_MARK

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

CARRIED = (
    b"authorization", b"host", b"x-forwarded-proto", b"x-forwarded-for", b"x-correlation-id", b"tandem-version"
)  # fmt: skip
"""What a second question repeats of the first: who asks, by which way, and in which form."""


def header(scope: Scope, name: bytes) -> str:
    """Return a request header, several joined by commas."""
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


@dataclass
class Answer:
    """A whole response."""

    status: int
    headers: list[Header]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def without(self, *names: bytes) -> list[Header]:
        """Return the headers except those named."""
        return [(key, value) for key, value in self.headers if key.lower() not in names]


async def ask(site: Application, scope: Scope, receive: Receive) -> Answer:
    """Pass a request on to the site and return its whole answer."""
    answer = Answer(500, [], b"")

    async def keep(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            answer.status, answer.headers = event["status"], list(event.get("headers", []))
        else:
            answer.body += event.get("body", b"")

    await site(scope, receive, keep)
    return answer


async def ask_again(
    site: Application, scope: Scope, path: str, *, counted: bool = False, has: bytes | None = None
) -> Answer:
    """GET `path` as the same caller, who `has` a representation with this ETag already.

    It is not `counted` as a request where the caller's own was counted already.
    """
    known = [(b"if-none-match", has)] if has else []
    headers = [(key, value) for key, value in scope["headers"] if key in CARRIED]
    mark = [] if counted else [(ASKED_AGAIN.encode(), ASKED_AGAIN_MARK.encode())]
    inner = {
        **scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [*headers, (b"accept", b"application/json"), *known, *mark],
    }

    async def nothing() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    return await ask(site, inner, nothing)


async def reply(send: Send, answer: Answer) -> None:
    """Send a whole answer. A 304 has no body, and says nothing of its length."""
    headers = answer.without(b"content-length")
    if answer.status != 304:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
