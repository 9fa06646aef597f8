"""Deadlines: a message that nobody has begun when its `deliver_by` comes is set aside, and everybody can see it.

No claim takes it any more from that moment on, and the sweep ends it soon after: with a receipt that says `expired`
where it was never begun; as a dead letter where an attempt was made, since a person may have to see what came of that.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, connection
from structlog import get_logger

from outbox import stats
from outbox.models import Attempt, Receipt
from outbox.publishing import open_unit, unit_of_work
from outbox.sagas.attention import delivery_died

EXPIRED = "expired"
EXPIRED_AT_ONCE = 200

_LATE = """
SELECT id FROM outbox_delivery
WHERE deliver_by <= now() AND NOT (state IN ('leased', 'dead')) ORDER BY deliver_by LIMIT %s
"""
_SET_ASIDE = """
WITH late AS (
    SELECT id FROM outbox_delivery
    WHERE id = %s AND deliver_by <= now() AND NOT (state IN ('leased', 'dead')) FOR UPDATE SKIP LOCKED
), never_begun AS (
    DELETE FROM outbox_delivery d USING late WHERE d.id = late.id AND d.attempts = 0
    RETURNING d.message_id, d.consumer, d.ordering_key, d.attempts, d.deliver_by
), begun AS (
    UPDATE outbox_delivery d SET state = 'dead', died_at = now(), due_at = NULL, waiting_for = '',
        last_error = 'its deadline passed', fingerprint = md5('expired ' || consumer)
    FROM late WHERE d.id = late.id AND d.attempts > 0
    RETURNING d.message_id, d.consumer, d.ordering_key, d.attempts, d.deliver_by
)
SELECT *, md5('expired ' || consumer) FROM (TABLE never_begun UNION ALL TABLE begun) both_kinds
"""

log = get_logger("outbox.deadlines")


class Late(NamedTuple):
    """A delivery over its deadline."""

    message_id: UUID
    consumer: str
    ordering_key: str | None
    attempts: int
    deliver_by: datetime
    fingerprint: str

    @property
    def reason(self) -> str:
        """Why it goes no further, as a sentence."""
        if self.attempts:
            return f"Attempt {self.attempts} had failed when its deadline passed ({self.deliver_by:%F %T} UTC)"
        return f"Nobody had begun it when its deadline passed ({self.deliver_by:%F %T} UTC)"


def expire() -> None:
    """Set aside what is over its deadline, each in a unit of work of its own."""
    with connection.cursor() as cursor:
        cursor.execute(_LATE, (EXPIRED_AT_ONCE,))
        ids = [row[0] for row in cursor.fetchall()]
    for delivery_id in ids:
        try:
            with unit_of_work():
                _expire(delivery_id)
        except DatabaseError as error:
            # Somebody else is at its saga or its ordering key; the next look finds it again.
            log.info("expiry_postponed", delivery=delivery_id, error=str(error))


def _expire(delivery_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET_ASIDE, (delivery_id,))
        row = cursor.fetchone()
    if row is None:
        return  # it has been taken, or ended, in between
    late = Late(*row)
    if not late.attempts:
        _end(late)
    Attempt.objects.create(
        message_id=late.message_id,
        consumer=late.consumer,
        number=late.attempts,
        kind=EXPIRED,
        error_class="DeadlinePassed",
        error=late.reason,
        fingerprint=late.fingerprint,
    )
    delivery_died(late.message_id, late.consumer, reason=late.reason)
    stats.count(late.consumer, "dead" if late.attempts else EXPIRED)
    log.warning("expired", consumer=late.consumer, message_id=str(late.message_id), attempts=late.attempts)


def _end(late: Late) -> None:
    Receipt.objects.create(
        message_id=late.message_id, consumer=late.consumer, attempts=0, duration_ms=0, outcome=EXPIRED
    )
    if late.ordering_key is not None:
        open_unit().ended.add((late.consumer, late.ordering_key))
