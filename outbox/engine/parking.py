"""Parked deliveries: what no running release can do is kept until one can.

A message of an unknown contract is parked by the worker that claims it; work of a consumer that nobody knows is parked
by the worker that notices. While two releases run side by side, whoever can do parked work does it from where it is:
made ready, it could come into the hands of the other release, which would park it again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection
from structlog import get_logger

from outbox.contracts import all_contracts

NOBODY_FOR_SECONDS = 30.0
"""How long work may wait for a consumer that no worker knows before it is parked: a release begins somewhere."""
LISTED_AT_ONCE = 50

_TO_DO = """
SELECT d.id, d.consumer, NOT EXISTS (
    SELECT 1 FROM outbox_worker w
    WHERE d.consumer = ANY(w.consumers) AND NOT m.name || '/' || m.version = ANY(w.contracts)
)
FROM outbox_delivery d JOIN outbox_message m ON m.id = d.message_id
WHERE d.state = 'parked' AND d.consumer = ANY(%s) AND m.name || '/' || m.version = ANY(%s)
ORDER BY d.id LIMIT %s
"""
_RELEASE = """
UPDATE outbox_delivery SET state = 'ready', last_error = '', enqueued_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_delivery WHERE id = ANY(%s) AND state = 'parked' FOR UPDATE SKIP LOCKED
)) RETURNING consumer
"""
_WITHOUT_WORKER = """
WITH RECURSIVE waiting (consumer) AS (
    (SELECT consumer FROM outbox_delivery WHERE state = 'ready' ORDER BY consumer LIMIT 1)
    UNION ALL
    SELECT (SELECT d.consumer FROM outbox_delivery d WHERE d.state = 'ready' AND d.consumer > waiting.consumer
            ORDER BY d.consumer LIMIT 1)
    FROM waiting WHERE waiting.consumer IS NOT NULL
)
SELECT consumer FROM (
    SELECT consumer FROM waiting UNION SELECT consumer FROM outbox_delivery WHERE state = 'isolated'
) found
WHERE consumer IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM outbox_worker w WHERE found.consumer = ANY(w.consumers))
"""
"""Hops along the index from one consumer to the next, however many deliveries each has."""
_PARK = """
UPDATE outbox_delivery SET
    state = 'parked', last_error = 'No worker that runs knows the consumer ' || consumer
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_delivery
    WHERE consumer = ANY(%s) AND state IN ('ready', 'isolated') AND enqueued_at < now() - make_interval(secs => %s)
    LIMIT 500 FOR UPDATE SKIP LOCKED
)) RETURNING consumer
"""

log = get_logger("outbox.parking")


class Parked(NamedTuple):
    """A parked delivery that this release can do."""

    id: int
    consumer: str
    by_everyone: bool
    """Every worker that may claim it can read it."""


def readable_contracts() -> list[str]:
    """Return what this release can read, as name/version."""
    return [f"{entry.name}/{version}" for entry in all_contracts() for version in entry.readable_versions()]


def to_do(consumers: list[str]) -> list[Parked]:
    """Return up to LISTED_AT_ONCE parked deliveries of `consumers` that this release can read, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_TO_DO, (consumers, readable_contracts(), LISTED_AT_ONCE))
        return [Parked(*row) for row in cursor.fetchall()]


def release(found: Sequence[Parked]) -> set[str]:
    """Make parked deliveries ready again; return their consumers."""
    if not found:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, ([parked.id for parked in found],))
        return {row[0] for row in cursor.fetchall()}


def park_what_nobody_knows() -> None:
    """Park what waits for consumers that no worker knows, so that people see it; it is done once one knows them."""
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_WORKER)
        unknown = [row[0] for row in cursor.fetchall()]
        if not unknown:
            return
        cursor.execute(_PARK, (unknown, NOBODY_FOR_SECONDS))
        if cursor.rowcount:
            log.warning("consumers_unknown", consumers=unknown, parked=cursor.rowcount)
