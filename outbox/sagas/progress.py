"""How far a saga is, in words that customers and staff can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from outbox.models import Saga, SagaStatus, SagaStep, StepStatus
from outbox.sagas.engine import FINISHED, definition_of

_STATES = {
    SagaStatus.RUNNING: "in_progress",
    SagaStatus.COMPLETED: "done",
    SagaStatus.COMPENSATING: "compensating",
    SagaStatus.COMPENSATED: "compensated",
    SagaStatus.SUSPENDED: "compensating",
    SagaStatus.FORWARD_STUCK: "needs_attention",
    SagaStatus.COMPENSATION_STUCK: "needs_attention",
}
LATE_SECONDS = 10
"""Work that has waited for its turn this long is behind, which people are told."""

_LIVE = """
SELECT (m.headers ->> 'saga')::uuid, d.state, d.attempts, d.due_at, b.next_try,
       CASE WHEN b.out THEN b.destination ELSE '' END,
       CASE WHEN b.out THEN b.changed_at
            WHEN d.state = 'ready' AND d.enqueued_at < now() - make_interval(secs => %s) THEN d.enqueued_at END
FROM outbox_message m JOIN outbox_delivery d ON d.message_id = m.id
LEFT JOIN LATERAL (
    SELECT destination, changed_at, coalesce(open_until, throttled_until) AS next_try, state <> 'closed' AS out
    FROM outbox_breaker WHERE d.consumer = ANY(consumers) AND (state <> 'closed' OR throttled_until > now())
    LIMIT 1
) AS b ON d.state IN ('ready', 'scheduled')
WHERE m.correlation_id = ANY(%s) AND m.headers ->> 'saga' = ANY(%s) AND m.kind = 'command'
"""
_DONE = "SELECT message_id, attempts FROM outbox_receipt WHERE message_id = ANY(%s)"


@dataclass(frozen=True)
class StepProgress:
    """One step as people see it."""

    name: str
    label: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    detail: str


@dataclass(frozen=True)
class Delay:
    """Why the present step takes longer than usual."""

    destination: str
    """The outside system that does not answer; empty where the work waits for its turn behind other work."""
    since: datetime


@dataclass(frozen=True)
class Progress:
    """A saga as people see it."""

    state: str
    percent: int
    awaiting: str | None
    next_attempt_at: datetime | None
    steps: list[StepProgress]
    delay: Delay | None = None


@dataclass(frozen=True)
class _Live:
    """What the commands of the present step are doing right now."""

    attempts: int
    next_attempt_at: datetime | None
    delay: Delay | None = None

    @property
    def waiting(self) -> bool:
        return self.next_attempt_at is not None


def progress_of(saga: Saga) -> Progress:
    """Return the progress of one saga."""
    return progress_of_many([saga])[saga.id]


def progress_of_many(sagas: Sequence[Saga]) -> dict[UUID, Progress]:
    """Return the progress of each saga by its id, from its steps and its live deliveries: three statements in all."""
    rows: dict[UUID, dict[int, SagaStep]] = {saga.id: {} for saga in sagas}
    for row in SagaStep.objects.filter(saga_id__in=rows):
        rows[row.saga_id][row.position] = row
    live = _live([saga for saga in sagas if saga.status not in FINISHED])
    attempts = _attempts([row.command_id for steps in rows.values() for row in steps.values() if row.command_id])
    return {saga.id: _progress(saga, rows[saga.id], live.get(saga.id, _Live(0, None)), attempts) for saga in sagas}


def _progress(saga: Saga, rows: dict[int, SagaStep], live: "_Live", attempts: dict[UUID, int]) -> Progress:
    steps = [
        _step(saga, step.name, step.label, rows.get(place), live, attempts)
        for place, step in definition_of(saga).taken(saga.data)
    ]
    finished = saga.status in FINISHED
    state = _STATES[SagaStatus(saga.status)]
    if state == "in_progress" and live.waiting:
        state = "waiting"
    done = sum(step.status == StepStatus.DONE for step in steps)
    return Progress(
        state=state,
        percent=100 if finished else round(100 * done / len(steps)),
        awaiting=None if finished else _awaiting(saga),
        next_attempt_at=None if finished else live.next_attempt_at,
        steps=steps,
        delay=None if finished else live.delay,
    )


def _awaiting(saga: Saga) -> str:
    step = definition_of(saga).steps[saga.position]
    if saga.status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATION_STUCK):
        return f"undoing: {step.label.lower()}"
    return "the outcome of the cancellation" if saga.status == SagaStatus.SUSPENDED else step.awaiting


def _live(sagas: Sequence[Saga]) -> dict[UUID, _Live]:
    """Return what the commands of each saga are doing, by the saga's id; the correlation id only finds them fast."""
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, [LATE_SECONDS, [saga.correlation_id for saga in sagas], [str(saga.id) for saga in sagas]])
        found = cursor.fetchall()
    live: dict[UUID, _Live] = {}
    for saga_id, state, attempts, due_at, breaker_until, destination, since in found:
        next_at = (due_at or breaker_until) if state in ("scheduled", "ready") else None
        former = live.get(saga_id, _Live(0, None))
        times = [time for time in (former.next_attempt_at, next_at) if time is not None]
        delay = former.delay or (Delay(destination, since) if since else None)
        live[saga_id] = _Live(max(former.attempts, attempts), min(times, default=None), delay)
    return live


def _attempts(command_ids: list[UUID]) -> dict[UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute(_DONE, [command_ids])
        return dict(cursor.fetchall())


def _step(
    saga: Saga, name: str, label: str, row: SagaStep | None, live: _Live, attempts: dict[UUID, int]
) -> StepProgress:
    if row is None:
        skipped = saga.status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED, SagaStatus.SUSPENDED)
        return StepProgress(name, label, "skipped" if skipped else "pending", None, None, 0, "")
    status, tried = row.status, attempts.get(row.command_id, 1) if row.command_id else 1
    if row.status == StepStatus.RUNNING:
        status = "waiting" if live.waiting else row.status
        tried = max(live.attempts, tried)
    return StepProgress(name, label, status, row.started_at, row.compensated_at or row.finished_at, tried, row.detail)
