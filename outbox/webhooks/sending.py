"""One call of an endpoint: bounded in time and size, without redirects, and to checked addresses only."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

from outbox.http import AnswerMissing, Client, NeverSent
from outbox.webhooks import signing
from outbox.webhooks.safety import GuardedBackend, NotAllowed
from outbox.webhooks.source import Letter

TOTAL_SECONDS = 10.0
KEPT_ANSWER_BYTES = 4_096
GONE = 410
SAYS_WHEN = (429, 503)
"""Answers whose Retry-After is heeded."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one call."""

    at: datetime
    duration_ms: int
    status: int | None
    """None when no answer came."""
    error: str
    """Why it does not count as delivered; empty when it does."""
    answer: str = ""
    retry_after: float | None = None
    """Seconds, where the receiver said so."""

    @property
    def delivered(self) -> bool:
        """The receiver has it."""
        return not self.error

    @property
    def gone(self) -> bool:
        """The receiver wants nothing any more."""
        return self.status == GONE


@cache
def _client(scheme: str, process: int) -> Client:
    """Return the client of this process; connections are not shared over a fork."""
    backend = GuardedBackend(scheme)
    named = {"user-agent": "Tandem-Webhooks/1", "content-type": "application/json"}
    return Client(
        headers=named, total_seconds=TOTAL_SECONDS, max_answer_bytes=KEPT_ANSWER_BYTES, cut=True, backend=backend
    )


def send(url: str, letter: Letter, secrets: Sequence[str], process: int) -> Answered:
    """Send one event; `process` names the process that asks. Never raises for what the receiver does."""
    at, began = datetime.now(UTC), time.perf_counter()
    headers = signing.headers(letter.webhook_id, int(at.timestamp()), letter.body, secrets)
    status, error, body, retry_after = None, "", b"", None
    try:
        answer = _client(urlsplit(url).scheme, process).exchange("POST", url, headers=headers, content=letter.body)
        status, body, error = answer.status, answer.body, _in_words(answer.status)
        retry_after = _retry_after(answer.headers, at) if status in SAYS_WHEN else None
    except NotAllowed as refused:
        error = str(refused)
    except NeverSent as failure:
        error = f"No connection: {failure}"[:500]
    except AnswerMissing as failure:
        error = f"No answer: {failure}"[:500]
    milliseconds = round((time.perf_counter() - began) * 1000)
    return Answered(at, milliseconds, status, error, _readable(body), retry_after)


def _in_words(status: int) -> str:
    """Return why an answer does not count as delivered; nothing when it does."""
    if 200 <= status < 300:
        return ""
    return "A redirect, which is not followed." if 300 <= status < 400 else f"It answered {status}."


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that Retry-After asks for, however it is written."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - now).total_seconds()) if moment.tzinfo else None
    except (TypeError, ValueError):
        return None


def _readable(body: bytes) -> str:
    """Return the beginning of an answer as the database can keep it."""
    return body[:KEPT_ANSWER_BYTES].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
