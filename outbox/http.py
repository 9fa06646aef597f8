"""HTTP for adapters to the outside: one client per destination, bounded in time and size, connections kept.

A read timeout alone is no bound: an answer that drips byte by byte renews it each time. So one deadline covers the
whole exchange, and every read and write ends by it. The connection pool is used directly, so neither redirects nor
proxies from the environment are followed.
"""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from outbox.publishing import no_transaction_open

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_ANSWER_BYTES = 65_536
KEPT_CONNECTIONS = 64
KEPT_SECONDS = 30.0

_deadline: ContextVar[float] = ContextVar("outbox_http_deadline")


class NeverSent(Exception):
    """No connection was made, so nobody can have done anything."""


class AnswerMissing(Exception):
    """The request may have got through; its whole answer did not come: cut off, too late or too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Client:
    """Keeps connections and makes bounded exchanges over them; safe to share between threads, not over a fork."""

    def __init__(
        self,
        base_url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        cut: bool = False,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        """Make a client; `backend` opens its connections.

        An answer of more than `max_answer_bytes` is missing, or is `cut` there.
        """
        self._cut = cut
        self._base_url, self._headers = base_url.rstrip("/"), dict(headers or {})
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._max_answer_bytes = max_answer_bytes
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=_DeadlineBackend(backend or httpcore.SyncBackend()),
        )

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
    ) -> Answer:
        """Make one request and return its answer. `url` is a path below the base URL, or stands for itself without.

        Raises TransactionOpen in a unit of work, NeverSent or AnswerMissing.
        """
        no_transaction_open()
        named = {**self._headers, **(headers or {})}
        request = httpx.Request(
            method.upper(), f"{self._base_url}{url}", headers=named, params=params, content=content, json=json
        )
        timeouts = {"connect": self._connect_seconds, "pool": self._connect_seconds}
        with _ending_in(self._total_seconds), _in_plain_words(), self._stream(request, timeouts) as response:
            body = self._read(response)
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, found, body)

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    def _stream(self, request: httpx.Request, timeouts: Mapping[str, float]) -> Any:
        return self._pool.stream(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.content,
            extensions={"timeout": timeouts},
        )

    def _read(self, response: httpcore.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > self._max_answer_bytes and self._cut:
                return bytes(body[: self._max_answer_bytes])
            if len(body) > self._max_answer_bytes:
                raise httpcore.ReadError(f"the answer is longer than {self._max_answer_bytes} bytes")
        return bytes(body)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every read and write ends by the deadline of the exchange that it serves."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections that know about deadlines."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))


def _left(late: type[httpcore.TimeoutException]) -> float:
    seconds = _deadline.get() - time.monotonic()
    if seconds <= 0:
        raise late("the exchange took longer than allowed in all")
    return seconds


@contextmanager
def _ending_in(seconds: float) -> Iterator[None]:
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
        raise NeverSent(_named(error)) from error
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        raise AnswerMissing(_named(error)) from error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
