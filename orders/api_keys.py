"""API keys: made once, shown once, kept as a hash."""

import hashlib
import hmac
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from orders.errors import InvalidKey
from orders.models import ApiKey, Customer
from orders.public_ids import CUSTOMER, public_id
from orders.scopes import SCOPES, unknown_scopes
from outbox.publishing import require_unit_of_work

_ALPHABET = string.ascii_letters + string.digits
_SHOWN = 8
_PREFIX_LENGTH = len("tdm_") + _SHOWN


@dataclass(frozen=True)
class Caller:
    """Who is calling, as the key tells."""

    customer_id: UUID
    customer_name: str
    key_name: str
    key_prefix: str
    scopes: frozenset[str]
    is_authenticated: bool = True

    @property
    def public_id(self) -> str:
        """The customer's id as the outside sees it."""
        return public_id(CUSTOMER, self.customer_id)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@require_unit_of_work
def issue_key(
    *,
    customer: Customer,
    name: str,
    scopes: Collection[str] = tuple(SCOPES),
    expires_at: datetime | None = None,
) -> str:
    """Make a key for the customer and return it; it cannot be shown again. Raises ValueError for an unknown scope."""
    unknown = unknown_scopes(scopes)
    if unknown:
        raise ValueError(f"There is no scope {', '.join(unknown)}; there are {', '.join(SCOPES)}.")
    prefix = "tdm_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SHOWN))
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    ApiKey.objects.create(
        customer=customer,
        name=name,
        prefix=prefix,
        secret_hash=_hash(key),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    return key


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
SELECT key.customer_id, customer.name, key.name, key.prefix, key.scopes, key.secret_hash
FROM orders_apikey AS key JOIN orders_customer AS customer ON customer.id = key.customer_id
WHERE key.prefix = %(prefix)s AND key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > now())
"""


def caller_of(key: str) -> Caller:
    """Return who holds the key. Raises InvalidKey for an unknown, expired or revoked one, without telling which."""
    refusal = InvalidKey("This API key is unknown, expired or revoked. Check it, or make a new one.")
    if not key.isascii() or "\0" in key:
        raise refusal
    digest = _hash(key)
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"prefix": key[:_PREFIX_LENGTH], "hash": digest})
        row = cursor.fetchone()
    if row is None or not hmac.compare_digest(bytes(row[5]), digest):
        raise refusal
    customer_id, customer_name, key_name, prefix, scopes, _ = row
    return Caller(customer_id, customer_name, key_name, prefix, frozenset(scopes))
