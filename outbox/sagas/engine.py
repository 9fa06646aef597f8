"""Moves sagas: every transition locks the saga's row, is idempotent by its state, and is kept as a step row.

The owner of a definition registers it with an observer, which is told of every change inside the same transaction.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models.functions import Least, Now
from structlog import get_logger
from uuid_utils.compat import uuid7

from outbox.consumers import Incoming
from outbox.context import current, scope
from outbox.contracts import Event, Message, contract_named, contract_of, encode
from outbox.models import Saga, SagaStatus, SagaStep, StepStatus
from outbox.publishing import require_unit_of_work, send
from outbox.sagas.definition import Saga as Definition
from outbox.sagas.registry import Change as Change
from outbox.sagas.registry import definition_of as definition_of
from outbox.sagas.registry import definitions as definitions
from outbox.sagas.registry import key_in, tell
from outbox.sagas.registry import register as register

FINISHED = (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)
FORWARD = (SagaStatus.RUNNING, SagaStatus.FORWARD_STUCK)
BACKWARD = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATION_STUCK)
UNDO_WITHIN = timedelta(hours=1)
"""How long a compensation may take when its step has no deadline of its own."""
_ENCODER = msgspec.json.Encoder(decimal_format="string")

log = get_logger("outbox.saga")


_START = """
WITH saga AS (
    INSERT INTO outbox_saga (id, definition, version, key, status, position, data, early, reason_code, reason,
                             correlation_id, deadline_at)
    VALUES (%s, %s, %s, %s, 'running', %s, %s::jsonb, '[]', '', '', %s, now() + make_interval(secs => %s::float))
)
INSERT INTO outbox_sagastep (saga_id, position, name, status, command_id, detail, started_at, finished_at)
SELECT %s::uuid, position, name, status, command_id, '', now(), CASE WHEN status = 'done' THEN now() END
FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::uuid[]) AS step (position, name, status, command_id)
"""


@require_unit_of_work
def start(definition: Definition, *, key: UUID, data: dict[str, Any], correlation_id: UUID | None = None) -> UUID:
    """Begin a saga, in one statement, and send its first command; return its id.

    Steps without a reply are done already: they are part of this very transaction.
    """
    saga_id, first = uuid7(), definition.first_open()
    step = definition.steps[first]
    command_id = None
    if step.command is not None:
        with scope(headers=_headers(saga_id, step.name)):
            command_id = send(step.command(data))
    done = [StepStatus.DONE] * first
    parameters = [
        *(saga_id, definition.name, definition.version, key, first, _json(data)),
        *(correlation_id or current().correlation_id or saga_id, _seconds(step.deadline), saga_id),
        list(range(first + 1)),
        [definition.steps[place].name for place in range(first + 1)],
        [*done, StepStatus.RUNNING],
        [*[None] * first, command_id],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_START, parameters)
    return saga_id


def _headers(saga_id: UUID, step: str) -> dict[str, Any]:
    return {"saga": str(saga_id), "step": step}


def _json(data: dict[str, Any]) -> str:
    return _ENCODER.encode(data).decode()


def _seconds(deadline: timedelta | None) -> float | None:
    return None if deadline is None else deadline.total_seconds()


@require_unit_of_work
def handle(definition_name: str, event: Event, message: Incoming) -> None:
    """Take a reply to the saga it belongs to; the body of the owner's consumer.

    Unknown and finished sagas are left alone: the reply is late, or a repeat. Both are logged.
    """
    key = key_in(definition_name, event)
    saga = Saga.objects.select_for_update().filter(definition=definition_name, key=key).first()
    if saga is None or saga.status in FINISHED:
        log.info("reply_without_saga", saga=definition_name, key=str(key), reply=message.type)
        return
    if saga.status == SagaStatus.SUSPENDED:
        _keep_early(saga, event, message.id)
        saga.save()
        return
    _take(saga, event, message.id)
    saga.save()


def _take(saga: Saga, event: Message, message_id: UUID) -> None:
    """Apply a reply to a saga whose row is locked."""
    definition = definition_of(saga)
    step = definition.steps[saga.position]
    if saga.status in BACKWARD:
        if step.compensation and step.compensation.success.fits(event):
            _step_undone(saga)
        elif step.compensation and step.compensation.failure and step.compensation.failure.fits(event):
            _cannot_undo(saga, event, message_id)
        return
    if definition.wanted_later(saga.position, event):
        _keep_early(saga, event, message_id)
    if step.success and step.success.fits(event):
        _step_done(saga, message_id)
    elif step.failure and step.failure.fits(event):
        _step_failed(saga, event, message_id)


def _keep_early(saga: Saga, event: Message, message_id: UUID) -> None:
    declared = contract_of(event)
    saga.early.append([declared.name, declared.version, encode(event).decode(), str(message_id)])


def _step_done(saga: Saga, reply_id: UUID | None) -> None:
    definition = definition_of(saga)
    step = definition.steps[saga.position]
    saga.steps.filter(position=saga.position).update(status=StepStatus.DONE, reply_id=reply_id, finished_at=Now())
    saga.status, saga.reason_code, saga.reason = SagaStatus.RUNNING, "", ""
    _tell(saga, Change("step_done", step.name))
    following = definition.following(saga.position, saga.data)
    if following is None:
        _finish(saga, SagaStatus.COMPLETED, Change("completed", step.name))
    else:
        _begin(saga, following)


def _begin(saga: Saga, position: int) -> None:
    """Begin the step at `position`; when its reply has come early, it is done at once."""
    step = definition_of(saga).steps[position]
    saga.position, saga.updated_at = position, Now()
    saga.deadline_at = Now() + step.deadline if step.deadline else None
    command_id = None
    if step.command is not None:
        with scope(headers=_headers(saga.id, step.name), correlation_id=saga.correlation_id):
            command_id = send(step.command(saga.data))
    SagaStep.objects.create(
        saga=saga, position=position, name=step.name, status=StepStatus.RUNNING, command_id=command_id
    )
    _tell(saga, Change("step_began", step.name))
    _take_early(saga)


def _take_early(saga: Saga) -> None:
    waiting, saga.early = saga.early, []
    for name, version, payload, message_id in waiting:
        event = contract_named(name).decode(payload, version)
        if saga.status in FINISHED:
            return
        _take(saga, event, UUID(message_id))


def _step_failed(saga: Saga, event: Message, reply_id: UUID) -> None:
    definition = definition_of(saga)
    step = definition.steps[saga.position]
    code, reason = getattr(event, "code", ""), getattr(event, "reason", "")
    failed = {"reply_id": reply_id, "finished_at": Now(), "detail": reason}
    if definition.past_pivot(saga.position):
        saga.steps.filter(position=saga.position).update(status=StepStatus.NEEDS_ATTENTION, **failed)
        stick(saga, SagaStatus.FORWARD_STUCK, code, reason)
        return
    saga.steps.filter(position=saga.position).update(status=StepStatus.FAILED, **failed)
    _tell(saga, Change("step_failed", step.name, code, reason))
    compensate(saga, code, reason, from_position=saga.position if step.undo_on_failure else saga.position - 1)


def compensate(saga: Saga, code: str, reason: str, *, from_position: int) -> None:
    """Turn a locked saga round and undo it from `from_position` down."""
    saga.status, saga.reason_code, saga.reason = SagaStatus.COMPENSATING, code, reason
    _tell(saga, Change("compensating", definition_of(saga).steps[saga.position].name, code, reason))
    _undo(saga, from_position)


def _undo(saga: Saga, position: int) -> None:
    """Undo the steps from `position` down; stops at the first one that needs a reply."""
    steps = definition_of(saga).steps
    for place in range(position, -1, -1):
        compensation = steps[place].compensation
        if compensation is None or not steps[place].when(saga.data):
            continue
        saga.position, saga.updated_at = place, Now()
        saga.deadline_at = Now() + (steps[place].deadline or UNDO_WITHIN)
        with scope(headers=_headers(saga.id, steps[place].name), correlation_id=saga.correlation_id):
            command_id = send(compensation.command({**saga.data, "reason": saga.reason or "cancelled"}))
        saga.steps.filter(position=place).update(status=StepStatus.COMPENSATING, compensation_id=command_id)
        return
    _finish(saga, SagaStatus.COMPENSATED, Change("compensated", steps[0].name, saga.reason_code, saga.reason))


def _step_undone(saga: Saga) -> None:
    saga.steps.filter(position=saga.position).update(status=StepStatus.COMPENSATED, compensated_at=Now())
    saga.status = SagaStatus.COMPENSATING
    _undo(saga, saga.position - 1)


def _cannot_undo(saga: Saga, event: Message, reply_id: UUID) -> None:
    code, reason = getattr(event, "code", "not_undone"), getattr(event, "reason", "")
    saga.steps.filter(position=saga.position).update(
        status=StepStatus.NEEDS_ATTENTION, reply_id=reply_id, detail=reason
    )
    stick(saga, SagaStatus.COMPENSATION_STUCK, code, reason)


def _finish(saga: Saga, status: SagaStatus, change: Change) -> None:
    saga.status, saga.deadline_at = status, None
    saga.updated_at = saga.finished_at = Now()
    _tell(saga, change)


def stick(saga: Saga, status: SagaStatus, code: str, reason: str) -> None:
    """Stop a locked saga until a person has looked, or the awaited reply comes after all."""
    saga.status, saga.deadline_at, saga.updated_at = status, None, Now()
    if status == SagaStatus.FORWARD_STUCK:
        # While compensating, the reason is why it compensates: it is told to the customer in the end.
        saga.reason_code, saga.reason = code, reason
    _tell(saga, Change("stuck", definition_of(saga).steps[saga.position].name, code, reason))


def _tell(saga: Saga, change: Change) -> None:
    log.info("saga_" + change.kind, saga=saga.definition, key=str(saga.key), step=change.step, reason=change.reason)
    tell(saga, change)


@require_unit_of_work
def suspend(definition_name: str, key: UUID) -> bool:
    """Freeze a saga that goes forward: replies are kept, deadlines rest. False when it is not under way forward."""
    saga = Saga.objects.select_for_update().filter(definition=definition_name, key=key).first()
    if saga is None or saga.status not in FORWARD:
        return False
    saga.status, saga.deadline_at, saga.updated_at = SagaStatus.SUSPENDED, None, Now()
    saga.save()
    return True


@require_unit_of_work
def resume(definition_name: str, key: UUID) -> None:
    """Let a suspended saga go on where it stopped, with the replies that came meanwhile."""
    saga = Saga.objects.select_for_update().get(definition=definition_name, key=key)
    if saga.status != SagaStatus.SUSPENDED:
        return
    step = definition_of(saga).steps[saga.position]
    saga.status, saga.updated_at = SagaStatus.RUNNING, Now()
    saga.deadline_at = Now() + step.deadline if step.deadline else None
    _tell(saga, Change("resumed", step.name))
    _take_early(saga)
    saga.save()


@require_unit_of_work
def settle_compensated(definition_name: str, key: UUID, *, code: str, reason: str) -> None:
    """Close a suspended saga whose effects another saga has undone."""
    saga = Saga.objects.select_for_update().get(definition=definition_name, key=key)
    if saga.status != SagaStatus.SUSPENDED:
        return
    saga.steps.filter(status__in=[StepStatus.DONE, StepStatus.RUNNING, StepStatus.NEEDS_ATTENTION]).update(
        status=StepStatus.COMPENSATED, compensated_at=Now()
    )
    saga.reason_code, saga.reason = code, reason
    _finish(saga, SagaStatus.COMPENSATED, Change("compensated", "", code, reason))
    saga.save()


@require_unit_of_work
def shorten_deadline(definition_name: str, key: UUID, *, step: str, deadline: timedelta) -> None:
    """Let `step`, when it is under way, expire `deadline` from now if that is sooner than it would."""
    saga = Saga.objects.select_for_update().get(definition=definition_name, key=key)
    if saga.status == SagaStatus.RUNNING and definition_of(saga).steps[saga.position].name == step:
        saga.deadline_at = Least("deadline_at", Now() + deadline)
        saga.save(update_fields=["deadline_at"])


@require_unit_of_work
def renew_deadline(definition_name: str, key: UUID) -> None:
    """Give the present step its whole time anew: what it waits for has happened, and its message is on the way."""
    saga = Saga.objects.select_for_update().get(definition=definition_name, key=key)
    step = definition_of(saga).steps[saga.position]
    if saga.status == SagaStatus.RUNNING and step.deadline:
        saga.deadline_at = Now() + step.deadline
        saga.save(update_fields=["deadline_at"])
