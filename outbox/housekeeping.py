"""Periodic jobs that keep the engine's own tables in shape."""

from structlog import get_logger

from outbox import doorbell, ordering, partitions, retention
from outbox.publishing import unit_of_work
from outbox.webhooks import care

MONTHS_AHEAD = 2
PRUNE_SECONDS = 20.0
"""How long one run may take; the next goes on. A worker has 60 s for a job."""

log = get_logger("outbox.housekeeping")


def create_partitions() -> None:
    """Create the monthly partitions of messages and receipts ahead of time."""
    made = partitions.create(MONTHS_AHEAD)
    if made is None:
        log.warning("partitions_postponed", reason="somebody was reading or writing all the time")
    else:
        log.info("partitions_created", count=made)


def prune() -> None:
    """Drop months and delete rows that are over their time: docs/how-to/keep-the-queue-healthy.md."""
    report = retention.prune(PRUNE_SECONDS)
    dropped = [old.month.name for old in report.months if not old.held]
    kept = {old.month.name: old.held for old in report.months if old.held}
    log.info("pruned", months=dropped, kept=kept, more=report.more, **report.rows)


def release_stranded() -> None:
    """Let deliveries go that are held though nothing of their ordering key comes before them."""
    with unit_of_work() as unit:
        freed = ordering.release_stranded()
        unit.rings.update((doorbell.WORK, released.consumer) for released in freed)
    if freed:
        consumers = sorted({released.consumer for released in freed})
        log.warning("stranded_released", consumers=consumers, count=len(freed))


def look_after_endpoints() -> None:
    """Find lost turns of webhook endpoints, seal their secrets anew when SECRET_KEY changed, forget old deliveries."""
    care.look_after()
