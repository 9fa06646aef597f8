"""Endpoints as their owners keep them: made, changed, rotated, removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.functions import TransactionNow
from django.db import connection

from outbox import audit
from outbox.commands import ServeEndpoint
from outbox.conf import conf
from outbox.errors import OutboxError
from outbox.models import DisabledReason, WebhookDelivery, WebhookEndpoint, WebhookState
from outbox.publishing import require_unit_of_work, send
from outbox.webhooks import health, keys
from outbox.webhooks.safety import check_url
from outbox.webhooks.signing import new_secret

LIMIT_LOCK = 0x0B0E_0004


class TooManyEndpoints(OutboxError):
    """The owner has as many endpoints as one may have."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an owner wants of an endpoint; None where it stays as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    ordered: bool | None = None
    enabled: bool | None = None


@require_unit_of_work
def create(owner_id: UUID, wish: Wish) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint; return it and its secret, which is shown this once. Raises NotAllowed, TooManyEndpoints."""
    assert wish.url is not None, "an endpoint has a URL"
    assert wish.events is not None, "an endpoint chooses its events"
    check_url(wish.url)
    _count(owner_id)
    secret = new_secret()
    endpoint = WebhookEndpoint.objects.create(
        owner_id=owner_id,
        url=wish.url,
        events=list(wish.events),
        description=wish.description or "",
        ordered=bool(wish.ordered),
        secret=keys.sealed(secret),
    )
    audit.record("create_webhook_endpoint", f"webhook_endpoint:{endpoint.id}", reason="", after={"url": wish.url})
    return _read(endpoint), secret


def _count(owner_id: UUID) -> None:
    """Count an owner's endpoints, one request after the other. Raises TooManyEndpoints."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LIMIT_LOCK, str(owner_id)))
    if WebhookEndpoint.objects.filter(owner_id=owner_id, deleted_at=None).count() >= conf.WEBHOOK_ENDPOINTS:
        raise TooManyEndpoints(f"An account has up to {conf.WEBHOOK_ENDPOINTS} webhook endpoints.")


@require_unit_of_work
def change(endpoint: WebhookEndpoint, wish: Wish, *, by_staff: bool = False, reason: str = "") -> WebhookEndpoint:
    """Change a locked endpoint as its owner, or staff, wishes; return it as it is then. Raises NotAllowed."""
    if wish.url is not None:
        check_url(wish.url)
    before = _told(endpoint)
    for name in ("url", "description", "ordered"):
        if getattr(wish, name) is not None:
            setattr(endpoint, name, getattr(wish, name))
    chosen = list(endpoint.events) if wish.events is None else list(wish.events)
    resumes = bool(wish.enabled) and not endpoint.enabled and endpoint.disabled_reason != DisabledReason.FAILING
    if resumes or chosen != list(endpoint.events):
        endpoint.offers_since = _now()
    endpoint.events = chosen
    _switch(endpoint, wish.enabled, DisabledReason.STAFF if by_staff else DisabledReason.OWNER)
    _save(endpoint)
    if endpoint.enabled:
        send(ServeEndpoint(endpoint_id=endpoint.id))
    subject = f"webhook_endpoint:{endpoint.id}"
    audit.record("change_webhook_endpoint", subject, reason=reason, before=before, after=_told(endpoint))
    return _read(endpoint)


def _switch(endpoint: WebhookEndpoint, enabled: bool | None, reason: DisabledReason) -> None:
    if enabled is True and not endpoint.enabled:
        health.enable(endpoint)
    elif enabled is False and endpoint.disabled_reason not in (DisabledReason.OWNER, DisabledReason.STAFF):
        health.disable(endpoint, reason, _now())


def _told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    names = ("url", "description", "ordered", "enabled")
    return {**{name: getattr(endpoint, name) for name in names}, "events": list(endpoint.events)}


@require_unit_of_work
def rotate(endpoint: WebhookEndpoint, overlap: timedelta) -> tuple[WebhookEndpoint, str]:
    """Give a locked endpoint a new secret; for `overlap` what is sent is signed with the former one, too."""
    secret = new_secret()
    endpoint.former_secret, endpoint.former_until = endpoint.secret, _now() + overlap
    endpoint.secret = keys.sealed(secret)
    _save(endpoint)
    audit.record("rotate_webhook_secret", f"webhook_endpoint:{endpoint.id}", reason="")
    return _read(endpoint), secret


@require_unit_of_work
def remove(endpoint: WebhookEndpoint) -> None:
    """Send a locked endpoint nothing more, and forget its secrets; what became of its deliveries is kept a while."""
    endpoint.deleted_at = _now()
    endpoint.secret, endpoint.former_secret = b"", None
    _save(endpoint)
    WebhookDelivery.objects.filter(endpoint=endpoint, state=WebhookState.WAITING).update(
        state=WebhookState.DISCARDED, finished_at=TransactionNow()
    )
    audit.record("remove_webhook_endpoint", f"webhook_endpoint:{endpoint.id}", reason="", before=_told(endpoint))


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _save(endpoint: WebhookEndpoint) -> None:
    endpoint.version += 1
    endpoint.save()


def _read(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(id=endpoint.id)
