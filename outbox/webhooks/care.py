"""What is done for endpoints now and then: lost turns found, secrets sealed anew, old deliveries forgotten."""

from django.db import connection
from structlog import get_logger

from outbox.commands import ServeEndpoint
from outbox.conf import conf
from outbox.publishing import send, unit_of_work
from outbox.webhooks import keys

OVERDUE_SECONDS = 60
PRUNED_AT_ONCE = 5_000

_FREE = """
UPDATE outbox_webhookdelivery d SET state = 'waiting', turn = NULL
WHERE state = 'sending' AND NOT EXISTS (
    SELECT FROM outbox_delivery q WHERE q.message_id = d.turn AND q.consumer = 'outbox.webhooks' AND q.state <> 'dead'
)
"""
"""A turn that an operator discarded, or that died, sends nothing any more."""
_FORGOTTEN = """
SELECT DISTINCT d.endpoint_id FROM outbox_webhookdelivery d
JOIN outbox_webhookendpoint e ON e.id = d.endpoint_id
WHERE d.state = 'waiting' AND d.due_at < now() - make_interval(secs => %s)
  AND e.deleted_at IS NULL AND (e.enabled OR e.disabled_reason = 'failing')
  AND coalesce(e.open_until, now()) <= now()
  AND NOT EXISTS (
    SELECT FROM outbox_delivery q
    WHERE q.consumer = 'outbox.webhooks' AND q.ordering_key = e.id::text AND q.state <> 'dead')
"""
_PRUNE = """
WITH old AS (
    DELETE FROM outbox_webhookdelivery WHERE id = ANY(ARRAY(
        SELECT id FROM outbox_webhookdelivery WHERE finished_at < now() - make_interval(days => %s) LIMIT %s
    )) RETURNING id
)
DELETE FROM outbox_webhookattempt WHERE delivery_id IN (SELECT id FROM old)
"""

log = get_logger("outbox.webhooks")


def look_after() -> None:
    """Do all of it; a periodic job."""
    with unit_of_work(), connection.cursor() as cursor:
        cursor.execute(_FREE)
        cursor.execute(_FORGOTTEN, [OVERDUE_SECONDS])
        forgotten = [row[0] for row in cursor.fetchall()]
        for endpoint_id in forgotten:
            send(ServeEndpoint(endpoint_id=endpoint_id))
        cursor.execute(_PRUNE, [conf.WEBHOOK_LOG_DAYS, PRUNED_AT_ONCE])
    if forgotten:
        log.warning("webhook_endpoints_forgotten", count=len(forgotten))
    renewed = keys.renew()
    if renewed:
        log.info("webhook_secrets_renewed", count=renewed)
