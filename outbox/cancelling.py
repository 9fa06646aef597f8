"""Taking back what was sent for later, as long as nobody has begun it."""

from uuid import UUID

from django.db import connection
from structlog import get_logger

from outbox import ordering
from outbox.publishing import open_unit

CANCELLED = "cancelled"

_KEYS = "SELECT consumer, ordering_key FROM outbox_delivery WHERE message_id = %s AND ordering_key IS NOT NULL"
_LOCK = """
SELECT consumer, ordering_key FROM outbox_delivery
WHERE message_id = %s AND attempts = 0 AND state IN ('ready', 'scheduled', 'held', 'isolated', 'parked')
FOR UPDATE SKIP LOCKED
"""
_OTHERS = """
SELECT (SELECT count(*) FROM outbox_delivery WHERE message_id = %(id)s) - %(locked)s
     + (SELECT count(*) FROM outbox_receipt WHERE message_id = %(id)s)
"""
_CANCEL = """
WITH gone AS (DELETE FROM outbox_delivery WHERE message_id = %s RETURNING message_id, consumer)
INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms, outcome)
SELECT message_id, consumer, 0, 0, %s FROM gone
"""

log = get_logger("outbox.cancelling")


def cancel(message_id: UUID) -> bool:
    """Take a message back in the open unit of work, so that no consumer ever gets it; its receipts say `cancelled`.

    Returns False, and changes nothing, when it is too late for one of its consumers: a worker has it in hand, it was
    tried before, or it is done. Raises NoUnitOfWork.
    """
    unit = open_unit()
    unit.flush()  # it may have been sent in this very transaction
    with connection.cursor() as cursor:
        cursor.execute(_KEYS, (message_id,))
        keys = cursor.fetchall()
        if keys:
            ordering.take(keys)  # before the deliveries, as whoever releases a successor does
        cursor.execute(_LOCK, (message_id,))
        waiting = cursor.fetchall()
        cursor.execute(_OTHERS, {"id": message_id, "locked": len(waiting)})
        if not waiting or cursor.fetchone()[0]:
            return False
        cursor.execute(_CANCEL, (message_id, CANCELLED))
    unit.ended.update(keys)
    log.info("cancelled", message_id=str(message_id), consumers=[consumer for consumer, _ in waiting])
    return True
