"""API keys: made once, shown once, kept as a hash; replaced with an overlap, revoked at once."""

import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.postgres.functions import TransactionNow
from django.db.models import Q

from orders.callers import PREFIX_SHOWN, Caller, hash_of_key
from orders.errors import FieldError, InsufficientScope, NotFound, ValidationFailed, VersionConflict
from orders.models import ApiKey, Customer
from orders.requests import CreateApiKey
from orders.scopes import SCOPES, unknown_scopes
from orders.versions import CURRENT
from outbox import audit
from outbox.publishing import require_unit_of_work

MOST_KEYS = 100
"""Keys of one customer that work at the same time."""

_LIVE = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=TransactionNow()))
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class NewKey:
    """A key that was just made, and its only chance to be shown."""

    row: ApiKey
    key: str


@require_unit_of_work
def issue_key(
    *,
    customer: Customer,
    name: str,
    scopes: Collection[str] = tuple(SCOPES),
    expires_at: datetime | None = None,
) -> str:
    """Make a key for the customer and return it; it cannot be shown again. Raises ValueError for an unknown scope.

    Without `scopes` it may do everything.
    """
    unknown = unknown_scopes(scopes)
    if unknown:
        raise ValueError(f"There is no scope {', '.join(unknown)}; there are {', '.join(SCOPES)}.")
    return _issue(customer_id=customer.id, name=name, scopes=sorted(scopes), expires_at=expires_at).key


def _issue(**columns: object) -> NewKey:
    prefix = "tdm_" + "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_SHOWN))
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(**{"prefix": prefix, "secret_hash": hash_of_key(key), "api_version": CURRENT, **columns})
    row.save(force_insert=True)
    row.refresh_from_db()
    return NewKey(row, key)


@require_unit_of_work
def create_key(*, by: Caller, wish: CreateApiKey) -> NewKey:
    """Make another key for the caller's customer, which may do no more than the caller's own, and no longer.

    Raises ValidationFailed, InsufficientScope.
    """
    _check_scopes(by, wish)
    now = _hold_customer(by)
    _check_bounds(by, wish, now)
    limits = [limit for limit in (wish.rate_limit, by.key_rate_limit) if limit is not None]
    made = _issue(
        customer_id=by.customer_id,
        name=wish.name,
        scopes=sorted(set(wish.scopes)),
        expires_at=wish.expires_at or by.key_expires_at,
        rate_limit=min(limits, default=None),
        api_version=wish.api_version or CURRENT,
    )
    audit.record("create_api_key", made.row.public_id, reason="", after={"name": wish.name, "scopes": made.row.scopes})
    return made


def _check_scopes(by: Caller, wish: CreateApiKey) -> None:
    unknown = set(unknown_scopes(wish.scopes))
    if unknown:
        there = ", ".join(SCOPES)
        raise ValidationFailed(
            [
                FieldError(f"/scopes/{place}", "unknown_scope", f"There is no scope {scope!r}; there are {there}.")
                for place, scope in enumerate(wish.scopes)
                if scope in unknown
            ]
        )
    _check_within(by, wish.scopes)


def _check_within(by: Caller, scopes: Collection[str]) -> None:
    """Raise InsufficientScope where a key would make, or get hold of, one that may do more than itself."""
    beyond = set(scopes) - by.scopes
    if beyond:
        raise InsufficientScope(*sorted(beyond))


def _hold_customer(by: Caller) -> datetime:
    """Lock the customer, so that its keys are counted one after the other; return the database's time."""
    # Not against orders being placed: those need only that the customer stays.
    customers = Customer.objects.select_for_update(no_key=True).annotate(now=TransactionNow())
    now: datetime = customers.get(id=by.customer_id).now
    if ApiKey.objects.filter(_LIVE, customer_id=by.customer_id).count() >= MOST_KEYS:
        detail = f"An account has up to {MOST_KEYS} keys that work. Revoke those that are not needed."
        raise ValidationFailed([FieldError("", "too_many_keys", detail)])
    return now


def _check_bounds(by: Caller, wish: CreateApiKey, now: datetime) -> None:
    errors = []
    if wish.expires_at is not None and wish.expires_at <= now:
        errors.append(FieldError("/expires_at", "in_the_past", "This time is over."))
    if wish.expires_at is not None and by.key_expires_at is not None and wish.expires_at > by.key_expires_at:
        detail = (
            f"The key that you call with ends at {by.key_expires_at.isoformat()}; it can make none that lasts longer."
        )
        errors.append(FieldError("/expires_at", "too_late", detail))
    if wish.rate_limit is not None and by.key_rate_limit is not None and wish.rate_limit > by.key_rate_limit:
        detail = f"Your own key has a limit of {by.key_rate_limit} requests a second."
        errors.append(FieldError("/rate_limit", "too_large", detail))
    if errors:
        raise ValidationFailed(errors)


@require_unit_of_work
def rotate_key(*, by: Caller, key_id: UUID, overlap: timedelta, expected_version: int | None = None) -> NewKey:
    """Make a key that takes over from another one, which goes on to work for `overlap`, and no longer than before.

    Raises NotFound, VersionConflict, InsufficientScope, ValidationFailed for a key that does not work any more.
    """
    _hold_customer(by)
    old = _own_key(by, key_id, expected_version)
    if not ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=TransactionNow()), id=old.id, revoked_at=None
    ).exists():
        detail = "This key does not work any more, so none can take over from it. Make a new one."
        raise ValidationFailed([FieldError("", "key_not_live", detail)])
    made = _issue(
        customer_id=old.customer_id,
        name=old.name,
        scopes=old.scopes,
        expires_at=old.expires_at,
        rate_limit=old.rate_limit,
        api_version=old.api_version,
        replaces_id=old.id,
    )
    sooner = Q(expires_at=None) | Q(expires_at__gt=TransactionNow() + overlap)
    ApiKey.objects.filter(sooner, id=old.id).update(expires_at=TransactionNow() + overlap)
    _changed(old)
    audit.record("rotate_api_key", old.public_id, reason="", after={"by": made.row.public_id})
    return made


@require_unit_of_work
def revoke_key(*, by: Caller, key_id: UUID, expected_version: int | None = None) -> ApiKey:
    """Let a key work no more, from the next request on; one that is revoked already is left as it is.

    Raises NotFound, VersionConflict, InsufficientScope.
    """
    key = _own_key(by, key_id, expected_version)
    if key.revoked_at is None:
        _revoke(key, reason="")
    return key


@require_unit_of_work
def revoke_keys(*, key_ids: Collection[UUID], reason: str) -> list[ApiKey]:
    """Revoke keys on the staff's word, whosever they are; return those that were not revoked yet."""
    keys = list(ApiKey.objects.select_for_update().filter(id__in=key_ids, revoked_at=None).order_by("id"))
    for key in keys:
        _revoke(key, reason=reason)
    return keys


def _own_key(by: Caller, key_id: UUID, expected_version: int | None) -> ApiKey:
    key = ApiKey.objects.select_for_update().filter(customer_id=by.customer_id, id=key_id).first()
    if key is None:
        raise NotFound("There is no such API key.")
    if expected_version is not None and expected_version != key.version:
        raise VersionConflict(f"The key is at version {key.version} by now. Read it again, then decide.")
    _check_within(by, key.scopes)
    return key


def _revoke(key: ApiKey, *, reason: str) -> None:
    ApiKey.objects.filter(id=key.id).update(revoked_at=TransactionNow())
    _changed(key)
    audit.record("revoke_api_key", key.public_id, reason=reason)


def _changed(key: ApiKey) -> None:
    key.version += 1
    key.save(update_fields=["version"])
    key.refresh_from_db()
