"""Who is calling: from a presented key to the customer, in one statement."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from orders.errors import InvalidKey
from orders.public_ids import CUSTOMER, public_id

PREFIX_SHOWN = 8
PREFIX_LENGTH = len("tdm_") + PREFIX_SHOWN

ASKED_AGAIN, ASKED_AGAIN_MARK = "x-asked-again", secrets.token_hex(16)
"""A header, and what it says where the waiting layer looks again for a request that was counted: known to this process
alone, so that no caller can say it."""


@dataclass(frozen=True)
class Caller:
    """Who is calling, as the key tells."""

    customer_id: UUID
    customer_name: str
    customer_since: datetime
    customer_rate_limit: int | None
    """Requests a second that the customer may make with all keys; None for the usual."""
    key_id: UUID
    key_prefix: str
    scopes: frozenset[str]
    key_expires_at: datetime | None
    key_rate_limit: int | None
    """Requests a second that this key may make; None where only the customer's limit holds."""
    api_version: str
    """The version of the API's form that the key is pinned to."""
    is_authenticated: bool = True

    @property
    def public_id(self) -> str:
        """The customer's id as the outside sees it."""
        return public_id(CUSTOMER, self.customer_id)


def hash_of_key(key: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str:
    """Return the part of a key by which it is found and shown."""
    return key[:PREFIX_LENGTH]


MOST_REMEMBERED = 10_000
_customers: dict[bytes, UUID] = {}


def remember_customer(key: str, customer_id: UUID) -> None:
    """Note whose key it was, for `customer_behind`; the key itself is not kept."""
    if len(_customers) >= MOST_REMEMBERED:
        _customers.clear()
    _customers[hash_of_key(key)] = customer_id


def customer_behind(authorization: str) -> UUID | None:
    """Return whose key an Authorization header carried when it was last good in this process, if it was.

    A hint for sharing out turns, and no authentication: that is caller_of's alone.
    """
    return _customers.get(hash_of_key(authorization.partition(" ")[2].strip())) if authorization else None


# Reading the key and noting its use is one statement. The note is made at most once a minute and never waits: a row
# that is locked is skipped.
_FIND = """
WITH used AS (
    UPDATE orders_apikey SET last_used_at = now() WHERE id IN (
        SELECT id FROM orders_apikey
        WHERE prefix = %(prefix)s AND secret_hash = %(hash)s AND revoked_at IS NULL
          AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        FOR UPDATE SKIP LOCKED)
)
SELECT key.secret_hash, key.scopes, customer.id, customer.name, customer.created_at, customer.rate_limit,
       key.id, key.prefix, key.expires_at, key.rate_limit, key.api_version
FROM orders_apikey AS key JOIN orders_customer AS customer ON customer.id = key.customer_id
WHERE key.prefix = %(prefix)s AND key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > now())
"""


def caller_of(key: str) -> Caller:
    """Return who holds the key. Raises InvalidKey for an unknown, expired or revoked one, without telling which."""
    refusal = InvalidKey("This API key is unknown, expired or revoked. Check it, or make a new one.")
    if not key.isascii() or "\0" in key:
        raise refusal
    digest = hash_of_key(key)
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"prefix": prefix_of(key), "hash": digest})
        row = cursor.fetchone()
    if row is None or not hmac.compare_digest(bytes(row[0]), digest):
        raise refusal
    remember_customer(key, row[2])
    _, scopes, *of_customer_and_key = row
    customer_id, name, since, customer_limit, key_id, prefix, *of_key = of_customer_and_key
    return Caller(customer_id, name, since, customer_limit, key_id, prefix, frozenset(scopes), *of_key)
