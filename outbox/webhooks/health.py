"""What calls say about an endpoint: pauses after failures in a row, disabling, and enabling again."""

from datetime import datetime, timedelta

from structlog import get_logger

from outbox.conf import conf
from outbox.context import current
from outbox.events import WebhookEndpointChanged
from outbox.models import DisabledReason, WebhookEndpoint
from outbox.publishing import publish
from outbox.webhooks import queries, schedule
from outbox.webhooks.sending import Answered

FIELDS = (
    "enabled",
    "disabled_reason",
    "disabled_at",
    "failures",
    "failing_since",
    "openings",
    "open_until",
    "last_success_at",
    "last_failure_at",
    "last_error",
)
"""Columns that this module changes."""

log = get_logger("outbox.webhooks")


def is_probing(endpoint: WebhookEndpoint) -> bool:
    """Tell whether one delivery at a time is tried."""
    return endpoint.failures >= schedule.FAILURES_UNTIL_PROBING or not endpoint.enabled


def may_be_called(endpoint: WebhookEndpoint) -> bool:
    """Tell whether anything is sent there at all: an endpoint that was disabled for failing is still tried."""
    return endpoint.deleted_at is None and (endpoint.enabled or endpoint.disabled_reason == DisabledReason.FAILING)


def note(endpoint: WebhookEndpoint, answers: list[Answered], now: datetime) -> None:
    """Take in what calls came to, in their order; the row is locked, and saved by the caller."""
    for answered in answers:
        if answered.delivered:
            _succeeded(endpoint, now)
        else:
            _failed(endpoint, answered, now)


def _succeeded(endpoint: WebhookEndpoint, now: datetime) -> None:
    recovered = is_probing(endpoint)
    endpoint.failures = endpoint.openings = 0
    endpoint.failing_since = endpoint.open_until = None
    endpoint.last_error = ""
    endpoint.last_success_at = now
    if recovered:
        queries.hurry(endpoint.id)
        log.info("webhook_endpoint_recovered", endpoint=str(endpoint.id))
    if not endpoint.enabled:
        enable(endpoint)


def _failed(endpoint: WebhookEndpoint, answered: Answered, now: datetime) -> None:
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.last_failure_at, endpoint.last_error = now, answered.error
    if answered.gone:
        disable(endpoint, DisabledReason.GONE, now)
        return
    if endpoint.enabled and now - endpoint.failing_since >= timedelta(hours=conf.WEBHOOK_DISABLE_HOURS):
        disable(endpoint, DisabledReason.FAILING, now)
    if answered.retry_after:
        _pause(endpoint, now + min(timedelta(seconds=answered.retry_after), schedule.LONGEST_PAUSE))
    if not endpoint.enabled:
        _pause(endpoint, now + timedelta(seconds=schedule.PROBE_DISABLED_SECONDS))
    elif is_probing(endpoint):
        _pause(endpoint, now + schedule.pause_after(endpoint.openings))
        endpoint.openings += 1


def _pause(endpoint: WebhookEndpoint, until: datetime) -> None:
    endpoint.open_until = max(until, endpoint.open_until or until)


def disable(endpoint: WebhookEndpoint, reason: DisabledReason, now: datetime) -> None:
    """Stop sending to an endpoint, and say so; the row is saved by the caller."""
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_at = False, reason, now
    _tell(endpoint)


def enable(endpoint: WebhookEndpoint) -> None:
    """Begin sending again, and say so; the row is saved by the caller."""
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_at = True, "", None
    endpoint.failures = endpoint.openings = 0
    endpoint.failing_since = endpoint.open_until = None
    _tell(endpoint)


def _tell(endpoint: WebhookEndpoint) -> None:
    publish(
        WebhookEndpointChanged(
            endpoint_id=endpoint.id,
            owner_id=endpoint.owner_id,
            enabled=endpoint.enabled,
            reason=endpoint.disabled_reason,
            actor=current().actor,
        )
    )
    changed = "webhook_endpoint_enabled" if endpoint.enabled else "webhook_endpoint_disabled"
    log.warning(changed, endpoint=str(endpoint.id), reason=endpoint.disabled_reason, url=endpoint.url)
