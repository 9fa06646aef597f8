"""Takes over what dead workers left behind. Runs in every worker, one at a time under an advisory lock."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from structlog import get_logger

from outbox import doorbell, stats
from outbox.engine import queue
from outbox.engine.failures import CRASHES_UNTIL_DEAD, CRASHES_UNTIL_ISOLATED
from outbox.engine.identity import LOCK_CLASS, process_lives
from outbox.models import Attempt
from outbox.publishing import UnitOfWork, unit_of_work
from outbox.sagas.attention import delivery_died

REAPER_LOCK = 0x0B0E_0001

DEAD_WORKERS = f"""
SELECT id, host, pid FROM outbox_worker w
WHERE NOT EXISTS (
    SELECT 1 FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.classid = {LOCK_CLASS} AND l.objid = w.lock AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""  # noqa: S608 - a number of ours
"""Those whose session lock is gone."""
_REMOVE = "DELETE FROM outbox_worker WHERE id = ANY(%s) RETURNING id, host, pid, consumer, deliveries::text"
_COUNT_CRASH = """
WITH hand AS (
    SELECT id FROM outbox_delivery
    WHERE (id = ANY(%(noted)s::bigint[]) AND state IN ('ready', 'isolated', 'parked') AND lease_owner IS NULL)
       OR (state = 'leased' AND lease_owner = %(worker)s)
    FOR UPDATE
), verdict AS (
    SELECT (SELECT count(*) FROM hand) = 1 AND cardinality(%(noted)s::bigint[]) <= 1 AS alone
)
UPDATE outbox_delivery d SET
    crashes = CASE WHEN alone THEN crashes + 1 ELSE least(crashes + 1, %(isolated)s) END,
    state = CASE WHEN alone AND crashes + 1 >= %(dead)s THEN 'dead'
                 WHEN crashes + 1 >= %(isolated)s THEN 'isolated' ELSE 'ready' END,
    died_at = CASE WHEN alone AND crashes + 1 >= %(dead)s THEN now() END,
    fingerprint = md5('crash ' || consumer), last_error = 'its worker process died', enqueued_at = now(),
    lease_owner = NULL, lease_until = NULL
FROM hand, verdict WHERE d.id = hand.id
RETURNING message_id, consumer, attempts, crashes, state, fingerprint
"""
"""Only a crash that a message had to itself can make it a dead letter: several workers may die of the same batch before
the first death is noticed, and its neighbours are innocent.
"""

_RELEASE = """
WITH gone AS (DELETE FROM outbox_worker WHERE id = %s RETURNING id)
UPDATE outbox_delivery d SET state = 'ready', lease_owner = NULL, lease_until = NULL, enqueued_at = now()
FROM gone WHERE d.state = 'leased' AND d.lease_owner = gone.id
"""

log = get_logger("outbox.reaper")


@dataclass(frozen=True)
class DeadWorker:
    """A worker whose session lock is gone, and its process too as far as this host can tell."""

    id: UUID
    host: str
    pid: int
    consumer: str
    deliveries: list[int]


def reap() -> bool:
    """Release expired leases, and count a crash for what dead workers had in hand.

    Does nothing, and returns False, while another worker is at it.
    """
    with unit_of_work() as unit, connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (REAPER_LOCK,))
        if not cursor.fetchone()[0]:
            return False
        for name in queue.release_expired_leases():
            unit.rings.add((doorbell.WORK, name))
        cursor.execute(DEAD_WORKERS)
        # One that lost only its connection comes back, and releases what it had: see forgive().
        dead = [worker_id for worker_id, host, pid in cursor.fetchall() if not process_lives(worker_id, host, pid)]
        if dead:
            cursor.execute(_REMOVE, (dead,))
            for row in cursor.fetchall():
                _take_over(DeadWorker(row[0], row[1], row[2], row[3], json.loads(row[4])), unit)
    return True


def forgive(identities: list[UUID]) -> None:
    """Release what this process held under identities that it lost with their connection; no crash is counted."""
    with connection.cursor() as cursor:
        while identities:
            cursor.execute(_RELEASE, (identities[-1],))
            identities.pop()


def _take_over(worker: DeadWorker, unit: UnitOfWork) -> None:
    parameters: dict[str, Any] = {
        "noted": worker.deliveries,
        "worker": worker.id,
        "isolated": CRASHES_UNTIL_ISOLATED,
        "dead": CRASHES_UNTIL_DEAD,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_CRASH, parameters)
        struck = cursor.fetchall()
    log.warning("worker_died", host=worker.host, pid=worker.pid, consumer=worker.consumer, in_hand=len(struck))
    Attempt.objects.bulk_create(_crash(row, worker) for row in struck)
    for message_id, consumer, _, _, state, _ in struck:
        unit.rings.add((doorbell.WORK, consumer))
        if state == "dead":
            stats.count(consumer, "dead")
            delivery_died(message_id, consumer, reason="It kills the worker process that handles it")


def _crash(row: tuple[Any, ...], worker: DeadWorker) -> Attempt:
    message_id, consumer, attempts, crashes, _, fingerprint = row
    return Attempt(
        message_id=message_id,
        consumer=consumer,
        number=attempts,
        kind="crash",
        error_class="WorkerDied",
        error=f"Worker {worker.host}/{worker.pid} died while it had this message in hand (crash {crashes})",
        fingerprint=fingerprint,
        worker_id=worker.id,
    )
