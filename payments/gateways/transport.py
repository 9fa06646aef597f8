"""HTTP for the provider's SDK: bounded in time and size, connections kept and shared by all threads."""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx
import stripe

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_ANSWER_BYTES = 2 * 1024 * 1024

_deadline: ContextVar[float] = ContextVar("payments_call_deadline")


class NeverSent(stripe.APIConnectionError):
    """No connection was made, so the provider cannot have done anything."""


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


class _DeadlineBackend(httpcore.SyncBackend):
    """Opens connections that know about deadlines."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class BoundedClient(stripe.HTTPClient):
    """The SDK's HTTP client, with one deadline over the whole exchange.

    A read timeout alone is no bound: an answer that drips byte by byte renews it each time. The connection pool is
    used directly, so neither redirects nor proxies from the environment are followed.
    """

    name = "httpcore"

    def __init__(self, *, connect_seconds: float = CONNECT_SECONDS, total_seconds: float = TOTAL_SECONDS) -> None:
        super().__init__()
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=30,
            network_backend=_DeadlineBackend(),
        )

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Make one exchange. Raises NeverSent, or APIConnectionError when it may have got through."""
        content = post_data.encode() if isinstance(post_data, str) else post_data
        timeouts = {"connect": self._connect_seconds, "pool": self._connect_seconds}
        with (
            _ending_in(self._total_seconds),
            _in_the_sdks_words(),
            self._pool.stream(
                method.upper(),
                url,
                headers=list((headers or {}).items()),
                content=content,
                extensions={"timeout": timeouts},
            ) as response,
        ):
            body = _read(response)
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return body.decode("utf-8", "replace"), response.status, named

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()


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
def _in_the_sdks_words() -> Iterator[None]:
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
        said = f"The payment provider cannot be reached: {error}"
        raise NeverSent(said) from error  # type: ignore[no-untyped-call]  # the SDK left its constructor untyped
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        said = f"The answer of the payment provider is missing: {type(error).__name__} {error}"
        raise stripe.APIConnectionError(said) from error  # type: ignore[no-untyped-call]  # the same


def _read(response: httpcore.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise httpcore.ReadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
