"""Periodic jobs that keep the engine's own tables in shape."""

from django.db import connection
from structlog import get_logger

from outbox import doorbell, ordering
from outbox.publishing import unit_of_work

MONTHS_AHEAD = 2
ROLLUPS_KEPT_DAYS = 14

log = get_logger("outbox.housekeeping")


def create_partitions() -> None:
    """Create the monthly partitions of messages and receipts ahead of time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT outbox_create_partitions(%s)", (MONTHS_AHEAD,))
        (made,) = cursor.fetchone()
    log.info("partitions_created", count=made)


def prune() -> None:
    """Delete answers to idempotency keys that have expired, and figures nobody looks at any more."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM outbox_idempotencyrecord WHERE expires_at < now()")
        keys = cursor.rowcount
        cursor.execute(
            "DELETE FROM outbox_rollup WHERE minute < now() - make_interval(days => %s)", (ROLLUPS_KEPT_DAYS,)
        )
    log.info("pruned", idempotency_keys=keys, figures=cursor.rowcount)


def release_stranded() -> None:
    """Let deliveries go that are held though nothing of their ordering key comes before them."""
    with unit_of_work() as unit:
        freed = ordering.release_stranded()
        unit.rings.update((doorbell.WORK, name) for name in freed)
    if freed:
        log.warning("stranded_released", consumers=sorted(set(freed)), count=len(freed))
