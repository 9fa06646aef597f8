"""HTTP for the provider's SDK: bounded in time and size, connections kept and shared by all threads."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import stripe

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_ANSWER_BYTES = 2 * 1024 * 1024


class NeverSent(stripe.APIConnectionError):
    """No connection was made, so the provider cannot have done anything."""


class BoundedClient(stripe.HTTPClient):
    """The SDK's HTTP client over httpx, with one deadline over the whole exchange.

    A read timeout alone is no bound: an answer that drips byte by byte renews it each time.
    """

    name = "httpx"

    def __init__(self, *, connect_seconds: float = CONNECT_SECONDS, total_seconds: float = TOTAL_SECONDS) -> None:
        super().__init__()
        self._total_seconds = total_seconds
        self._http = httpx.Client(
            timeout=httpx.Timeout(total_seconds, connect=connect_seconds),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            trust_env=False,  # a proxy in the environment must not see payments
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
        deadline = time.monotonic() + self._total_seconds
        try:
            with self._http.stream(method.upper(), url, headers=dict(headers or {}), content=post_data) as response:
                body = self._read(response, deadline)
                return body.decode("utf-8", "replace"), response.status_code, response.headers
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            said = f"The payment provider cannot be reached: {error}"
            raise NeverSent(said) from error  # type: ignore[no-untyped-call]  # the SDK left its constructor untyped
        except httpx.HTTPError as error:
            said = f"The answer of the payment provider is missing: {type(error).__name__} {error}"
            raise stripe.APIConnectionError(said) from error  # type: ignore[no-untyped-call]  # the same

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    @staticmethod
    def _read(response: httpx.Response, deadline: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise httpx.ReadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer took longer than allowed in all")
        return bytes(body)
