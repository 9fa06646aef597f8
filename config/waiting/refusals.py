"""Problems that the asynchronous layer answers with itself, before the site is asked: in the site's own form."""

from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from config.problems import PROBLEMS
from config.waiting.inner import Answer, Header, Scope, Send, header, reply
from orders.representations import Problem

HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)


def refusal(scope: Scope, code: str, detail: str = "", *, correlation: str = "") -> Answer:
    """Return the answer that tells of the problem `code`."""
    kind = PROBLEMS[code]
    correlation = correlation or correlation_id_of(scope)
    problem = Problem(
        type=f"{scope['scheme']}://{header(scope, b'host')}/docs/problems/{code}",
        title=kind.title,
        status=kind.status,
        code=code,
        detail=detail or f"{kind.meaning} {kind.remedy}",
        instance=scope["path"],
        correlation_id=correlation,
    )
    headers = [*HEADERS, (b"x-correlation-id", correlation.encode())]
    if kind.retry_after is not None:
        headers.append((b"retry-after", str(kind.retry_after).encode()))
    return Answer(kind.status, headers, msgspec.json.encode(problem))


async def refuse(scope: Scope, send: Send, code: str, detail: str = "", *headers: Header) -> None:
    """Answer a request with the problem `code`."""
    answer = refusal(scope, code, detail)
    answer.headers.extend(headers)
    await reply(send, answer)


def correlation_id_of(scope: Scope) -> str:
    """Return the caller's X-Correlation-ID when it is a UUID, else a new one."""
    try:
        return str(UUID(header(scope, b"x-correlation-id")))
    except ValueError:
        return str(uuid7())
