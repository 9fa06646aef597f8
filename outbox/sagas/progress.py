"""How far a saga is, in words that customers and staff can read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from outbox.models import Saga, SagaStatus, SagaStep, StepStatus
from outbox.sagas.engine import definition_of

_STATES = {
    SagaStatus.RUNNING: "in_progress",
    SagaStatus.COMPLETED: "done",
    SagaStatus.COMPENSATING: "compensating",
    SagaStatus.COMPENSATED: "compensated",
    SagaStatus.SUSPENDED: "compensating",
    SagaStatus.FORWARD_STUCK: "needs_attention",
    SagaStatus.COMPENSATION_STUCK: "needs_attention",
}
_LIVE = """
SELECT d.state, d.attempts, d.due_at,
       (SELECT coalesce(b.open_until, b.throttled_until) FROM outbox_breaker b
        WHERE d.consumer = ANY(b.consumers) AND (b.state <> 'closed' OR b.throttled_until > now()))
FROM outbox_message m JOIN outbox_delivery d ON d.message_id = m.id
WHERE m.correlation_id = %s AND m.headers ->> 'saga' = %s AND m.kind = 'command'
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
class Progress:
    """A saga as people see it."""

    state: str
    percent: int
    awaiting: str | None
    next_attempt_at: datetime | None
    steps: list[StepProgress]


@dataclass(frozen=True)
class _Live:
    """What the commands of the present step are doing right now."""

    attempts: int
    next_attempt_at: datetime | None

    @property
    def waiting(self) -> bool:
        return self.next_attempt_at is not None


def progress_of(saga: Saga) -> Progress:
    """Return the progress of `saga`, from its steps and its live deliveries: four statements."""
    rows = {row.position: row for row in saga.steps.all()}
    definition = definition_of(saga)
    live = _live(saga)
    attempts = _attempts([row.command_id for row in rows.values() if row.command_id])
    steps = [
        _step(saga, step.name, step.label, rows.get(place), live, attempts)
        for place, step in enumerate(definition.steps)
    ]
    finished = saga.status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)
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
    )


def _awaiting(saga: Saga) -> str:
    step = definition_of(saga).steps[saga.position]
    if saga.status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATION_STUCK):
        return f"undoing: {step.label.lower()}"
    return "the outcome of the cancellation" if saga.status == SagaStatus.SUSPENDED else step.awaiting


def _live(saga: Saga) -> _Live:
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, [saga.correlation_id, str(saga.id)])
        rows = cursor.fetchall()
    times = [due_at or breaker for state, _, due_at, breaker in rows if state in ("scheduled", "ready")]
    known = [time for time in times if time is not None]
    return _Live(max((row[1] for row in rows), default=0), min(known, default=None))


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
