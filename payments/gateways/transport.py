"""HTTP for the provider's SDK, by the engine's client."""

from collections.abc import Mapping
from typing import Any

import stripe

from outbox import http

MAX_ANSWER_BYTES = 2 * 1024 * 1024


class NeverSent(stripe.APIConnectionError):
    """No connection was made, so the provider cannot have done anything."""


class BoundedClient(stripe.HTTPClient):
    """The SDK's HTTP client, with one deadline over the whole exchange."""

    name = "outbox"

    def __init__(
        self, *, connect_seconds: float = http.CONNECT_SECONDS, total_seconds: float = http.TOTAL_SECONDS
    ) -> None:
        super().__init__()
        self._client = http.Client(
            connect_seconds=connect_seconds, total_seconds=total_seconds, max_answer_bytes=MAX_ANSWER_BYTES
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
        try:
            answer = self._client.exchange(method, url, headers=headers, content=content)
        except http.NeverSent as error:
            said = f"The payment provider cannot be reached: {error}"
            raise NeverSent(said) from error  # type: ignore[no-untyped-call]  # the SDK left its constructor untyped
        except http.AnswerMissing as error:
            said = f"The answer of the payment provider is missing: {error}"
            raise stripe.APIConnectionError(said) from error  # type: ignore[no-untyped-call]  # the same
        return answer.body.decode("utf-8", "replace"), answer.status, answer.headers

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()
