"""Signing secrets as they are kept, and what a test sends."""

from datetime import datetime

import msgspec

from outbox.models import WebhookDelivery, WebhookEndpoint
from outbox.publishing import unit_of_work
from outbox.sealing import seal, unseal
from outbox.webhooks.source import Letter

PURPOSE = "webhook-secret"


def sealed(secret: str) -> bytes:
    """Return a signing secret as it is kept."""
    return seal(secret.encode(), PURPOSE)


def signing_secrets(endpoint: WebhookEndpoint, now: datetime) -> tuple[str, ...]:
    """Return the secrets to sign with: the endpoint's, and the one before while both are valid."""
    kept = [endpoint.secret]
    if endpoint.former_secret is not None and endpoint.former_until is not None and endpoint.former_until > now:
        kept.append(endpoint.former_secret)
    return tuple(unseal(bytes(one), PURPOSE).text.decode() for one in kept)


def letter_of_test(delivery: WebhookDelivery) -> Letter:
    """Return what a test sends: its body names its id."""
    body = (delivery.body or "").encode()
    return Letter(str(msgspec.json.decode(body)["id"]), body)


def renew() -> int:
    """Seal anew what was sealed with a former key, so that the former key may go; return how many secrets."""
    renewed = 0
    with unit_of_work():
        for endpoint in WebhookEndpoint.objects.select_for_update(skip_locked=True).filter(deleted_at=None):
            for name in ("secret", "former_secret"):
                kept = getattr(endpoint, name)
                if kept is not None and (opened := unseal(bytes(kept), PURPOSE)).stale:
                    WebhookEndpoint.objects.filter(id=endpoint.id).update(**{name: seal(opened.text, PURPOSE)})
                    renewed += 1
    return renewed
