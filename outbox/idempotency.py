"""Idempotency keys for a door: the same request with the same key takes effect once and is answered alike.

Within the unit of work of the request: `begin` first, then the work, then `remember`. The key's row commits together
with what the request did. Only answers of success are remembered: a refusal rolls back and leaves the key free.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import connection

from outbox.conf import conf
from outbox.errors import OutboxError
from outbox.publishing import require_unit_of_work


class IdempotencyError(OutboxError):
    """Root of what can be wrong with the use of a key."""


class KeyInProgress(IdempotencyError):
    """Another request with this key is being carried out right now."""


class KeyReused(IdempotencyError):
    """The key was used for a request with another body."""


class KeyTaken(IdempotencyError):
    """Another request took the key after `begin` looked: roll back and begin again, the answer is there now."""


@dataclass(frozen=True)
class Answer:
    """An answer as it went out, byte for byte."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """A key as one caller used it for one call."""

    scope: str
    """Whose key and for which call: the same text elsewhere is another key."""
    text: str
    request_hash: str

    @property
    def lock(self) -> int:
        """The number that PostgreSQL's advisory lock takes for this key: 63 bits of its hash and a sign."""
        digest = hashlib.blake2b(f"{self.scope}\n{self.text}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def hash_of(document: object) -> str:
    """Return the hash of a JSON document, whatever the order and spacing of its members."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


# Lock and look in one statement. Its snapshot is older than the lock, so a row that commits in between is not seen;
# the unique constraint finds that case in `remember`.
_BEGIN = """
SELECT attempt.locked, record.request_hash, record.response_status, record.response_headers, record.response_body
FROM (SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked) AS attempt
LEFT JOIN outbox_idempotencyrecord AS record
       ON record.scope = %(scope)s AND record.key = %(key)s AND record.expires_at > now()
"""

_REMEMBER = """
INSERT INTO outbox_idempotencyrecord
       (scope, key, request_hash, response_status, response_headers, response_body, created_at, expires_at)
VALUES (%(scope)s, %(key)s, %(hash)s, %(status)s, %(headers)s, %(body)s, now(),
        now() + make_interval(hours => %(hours)s))
ON CONFLICT (scope, key) DO UPDATE
   SET request_hash = excluded.request_hash, response_status = excluded.response_status,
       response_headers = excluded.response_headers, response_body = excluded.response_body,
       created_at = excluded.created_at, expires_at = excluded.expires_at
 WHERE outbox_idempotencyrecord.expires_at <= now()
"""

_PURGE = """
DELETE FROM outbox_idempotencyrecord WHERE id IN
       (SELECT id FROM outbox_idempotencyrecord WHERE expires_at <= now() ORDER BY expires_at LIMIT %s
        FOR UPDATE SKIP LOCKED)
"""


@require_unit_of_work
def begin(key: Key) -> Answer | None:
    """Take the key for this transaction; return the remembered answer, or None when the work is still to be done.

    Raises KeyReused for another body under the same key, KeyInProgress while another request holds it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, {"lock": key.lock, "scope": key.scope, "key": key.text})
        locked, request_hash, status, headers, body = cursor.fetchone()
    if request_hash is None:
        if not locked:
            raise KeyInProgress(
                "A request with this Idempotency-Key is being carried out. Repeat this one in a moment."
            )
        return None
    if request_hash != key.request_hash:
        raise KeyReused("This Idempotency-Key was used for another request body. Use a new key for a new request.")
    return Answer(status, bytes(body), json.loads(headers) if isinstance(headers, str) else headers)


@require_unit_of_work
def remember(key: Key, answer: Answer) -> None:
    """Store the answer of success under the key. Raises KeyTaken when another request was faster."""
    with connection.cursor() as cursor:
        cursor.execute(
            _REMEMBER,
            {
                "scope": key.scope,
                "key": key.text,
                "hash": key.request_hash,
                "status": answer.status,
                "headers": json.dumps(dict(answer.headers)),
                "body": answer.body,
                "hours": conf.IDEMPOTENCY_HOURS,
            },
        )
        if cursor.rowcount == 0:
            raise KeyTaken("Another request took this Idempotency-Key in the meantime")


@require_unit_of_work
def purge(*, limit: int = 10_000) -> int:
    """Remove records that have expired by the database's clock, at most `limit`; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_PURGE, [limit])
        return int(cursor.rowcount)
