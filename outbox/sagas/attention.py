"""What becomes of sagas whose answers do not come: undone, or shown to a person."""

from datetime import timedelta
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import OperationalError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from structlog import get_logger

from outbox.models import Message, Saga, SagaStatus, StepStatus
from outbox.publishing import unit_of_work
from outbox.sagas.definition import reply_names
from outbox.sagas.engine import BACKWARD, FINISHED, UNDO_WITHIN, compensate, stick
from outbox.sagas.registry import Registered, definition_of, registered

EXPIRED_AT_ONCE = 50
LOOK_AGAIN_AFTER = timedelta(minutes=1)
"""When dealing with a late step failed."""
STUCK = (SagaStatus.FORWARD_STUCK, SagaStatus.COMPENSATION_STUCK)

log = get_logger("outbox.saga")


def expire_late_steps() -> None:
    """Deal with steps over their deadline, each saga in a unit of work of its own.

    Before the pivot the saga compensates, the late step included; after it, and while compensating, a person is asked.
    """
    for entry in registered():
        late = _late(entry).order_by("deadline_at").values_list("id", "key")
        for saga_id, key in late[:EXPIRED_AT_ONCE]:
            _expire_alone(entry, saga_id, key)


def _late(entry: Registered) -> QuerySet[Saga]:
    return Saga.objects.filter(
        definition=entry.definition.name,
        version=entry.definition.version,
        status__in=[SagaStatus.RUNNING, SagaStatus.COMPENSATING],
        deadline_at__lt=Now(),
    )


def _expire_alone(entry: Registered, saga_id: UUID, key: UUID) -> None:
    try:
        with unit_of_work():
            entry.lock(key)
            saga = _late(entry).select_for_update(skip_locked=True).filter(id=saga_id).first()
            if saga is not None:
                _expire(saga)
                saga.save()
    except OperationalError as error:
        # Somebody else moves the same saga; the next look finds it again if it still is late.
        log.info("expiry_postponed", saga_id=str(saga_id), error=str(error))
    except Exception:
        # One saga that cannot be turned round must not keep the worker from all other work.
        log.exception("expiry_failed", saga=entry.definition.name, key=str(key))
        with unit_of_work():
            _late(entry).filter(id=saga_id).update(deadline_at=Now() + LOOK_AGAIN_AFTER)


def _expire(saga: Saga) -> None:
    definition = definition_of(saga)
    step = definition.steps[saga.position]
    code, reason = "deadline_passed", step.overdue or f"{step.label}: no answer within the time allowed"
    if saga.status == SagaStatus.COMPENSATING or definition.past_pivot(saga.position) or step.pivot:
        _ask_a_person(saga, code, reason)
    else:
        saga.steps.filter(position=saga.position).update(status=StepStatus.FAILED, detail=reason, finished_at=Now())
        compensate(saga, code, reason, from_position=saga.position)


def _ask_a_person(saga: Saga, code: str, reason: str) -> None:
    stuck = SagaStatus.COMPENSATION_STUCK if saga.status in BACKWARD else SagaStatus.FORWARD_STUCK
    saga.steps.filter(position=saga.position).update(status=StepStatus.NEEDS_ATTENTION, detail=reason)
    stick(saga, stuck, code, reason)


def delivery_died(message_id: UUID, consumer: str, *, reason: str) -> None:
    """Show on the sagas concerned that a delivery became a dead letter and a person is needed: the command of the
    present step, or a reply that its follower could not take. In the open unit of work.
    """
    for saga in _sagas_concerned(message_id, consumer):
        if saga.status != SagaStatus.SUSPENDED:
            _ask_a_person(saga, "dead_letter", reason[:500])
            saga.save()


def delivery_revived(message_id: UUID, consumer: str) -> None:
    """Show on the sagas concerned that a dead letter is tried again, with the step's whole time. In the open unit of
    work.
    """
    for saga in _sagas_concerned(message_id, consumer):
        if saga.status in STUCK:
            _go_on(saga)


def _go_on(saga: Saga) -> None:
    allowed = definition_of(saga).steps[saga.position].deadline
    if saga.status == SagaStatus.COMPENSATION_STUCK:
        saga.status, step, allowed = SagaStatus.COMPENSATING, StepStatus.COMPENSATING, allowed or UNDO_WITHIN
    else:
        saga.status, step = SagaStatus.RUNNING, StepStatus.RUNNING
        saga.reason_code = saga.reason = ""
    saga.deadline_at = Now() + allowed if allowed else None
    saga.steps.filter(position=saga.position).update(status=step, detail="")
    saga.updated_at = Now()
    saga.save()


def _sagas_concerned(message_id: UUID, consumer: str) -> list[Saga]:
    """Return, locked, the unfinished sagas of this release's definitions that wait for what a delivery should bring."""
    message = Message.objects.filter(id=message_id).only("name", "kind", "payload", "headers").first()
    if message is None:
        return []
    if message.kind == "command":
        meant = Q(id=message.headers.get("saga"))
    else:
        meant = reduce(
            or_,
            (
                Q(definition=entry.definition.name, key=message.payload[names[message.name]])
                for entry in registered()
                for names in [reply_names(entry.definition)]
                if entry.follower == consumer and message.name in names
            ),
            Q(pk__in=()),
        )
    known = {(entry.definition.name, entry.definition.version) for entry in registered()}
    unfinished = Saga.objects.select_for_update().filter(meant).exclude(status__in=FINISHED).order_by("id")
    return [saga for saga in unfinished if (saga.definition, saga.version) in known and _is_present(message, saga)]


def _is_present(message: Message, saga: Saga) -> bool:
    """Tell whether `message` belongs to the step the saga is at: what dies of an earlier step stops nothing."""
    return message.kind != "command" or message.headers.get("step") == definition_of(saga).steps[saga.position].name
