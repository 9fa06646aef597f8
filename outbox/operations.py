"""What operators do to dead letters.

Each verb is compare-and-set: it acts on a row that still is a dead letter, and otherwise says what became of it.
Lock order: delivery, then its saga, as the engine has it when a command dies.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models.functions import Now
from structlog import get_logger

from outbox import audit, doorbell
from outbox.engine.failures import CRASHES_UNTIL_ISOLATED
from outbox.errors import IllegalOperation, OutboxError
from outbox.models import AuditEntry, Delivery, DeliveryState, Receipt
from outbox.publishing import open_unit, require_unit_of_work, unit_of_work
from outbox.sagas.attention import delivery_revived

DISCARDED, SKIPPED = "discarded", "skipped"
RETRY, DISCARD = "outbox.retry_dead_letter", "outbox.discard_dead_letter"
SKIP = "outbox.skip_delivery"
_DID = {RETRY: "retried", DISCARD: "discarded", SKIP: "skipped"}
AT_REST = (DeliveryState.DEAD, DeliveryState.SCHEDULED, DeliveryState.ISOLATED, DeliveryState.PARKED)
"""States in which a delivery waits, and no worker has it in hand for long."""
_UNKNOWN = "There is no dead letter {}. It may have been done since; its message tells."

Verb = Callable[[int, str], None]

log = get_logger("outbox.operations")


@dataclass(frozen=True)
class ItemResult:
    """What came of a verb for one delivery."""

    delivery_id: int
    done: bool
    detail: str
    """Why it was not done; empty when it was."""


@require_unit_of_work
def retry_dead_letter(delivery_id: int, reason: str) -> None:
    """Put a dead letter back into the queue for a whole new round of attempts; the old ones stay on record.

    One that killed its worker processes runs alone, and a further crash sets it aside again at once. A deadline that it
    had is lifted: a person wants it done now. Raises IllegalOperation for a blank reason, or when it is no dead letter
    any more.
    """
    reason = audit.require_reason(reason)
    row = _lock(delivery_id, DeliveryState.DEAD)
    state, crashes = DeliveryState.READY, 0
    if row.crashes:
        state, crashes = DeliveryState.ISOLATED, CRASHES_UNTIL_ISOLATED
    Delivery.objects.filter(id=row.id).update(
        state=state,
        attempts=0,
        tried_since=None,
        crashes=crashes,
        enqueued_at=Now(),
        died_at=None,
        due_at=None,
        deliver_by=None,
        waiting_for="",
    )
    delivery_revived(row.message_id, row.consumer)
    open_unit().rings.add((doorbell.WORK, row.consumer))
    _note(RETRY, row, reason, {"state": state.value, "attempts": 0})


@require_unit_of_work
def discard_dead_letter(delivery_id: int, reason: str) -> None:
    """Give a dead letter up for good: its receipt says `discarded`, its attempts stay on record.

    So may be given up what is parked for a consumer or a contract that will never come back. What it held back goes
    on; a saga that waits for it goes on waiting for a person. Raises IllegalOperation as retry_dead_letter does.
    """
    reason = audit.require_reason(reason)
    row = _lock(delivery_id, DeliveryState.DEAD, DeliveryState.PARKED)
    _end(row, DISCARDED)
    _note(DISCARD, row, reason, {"state": DISCARDED})


@require_unit_of_work
def skip_delivery(delivery_id: int, reason: str) -> None:
    """Pass over the head of an ordering key, whatever it waits for, so that what it holds back goes on in order.

    Its receipt says `skipped`. Raises IllegalOperation for a blank reason, for a delivery without an ordering key, for
    one that is held itself, and while a worker has it in hand.
    """
    reason = audit.require_reason(reason)
    found = Delivery.objects.filter(id=delivery_id).first()
    if found is not None and found.ordering_key is None:
        raise IllegalOperation(f"Delivery {delivery_id} has no ordering key: it holds nothing back.")
    if found is not None and found.state not in AT_REST:
        state = found.get_state_display().lower()
        raise IllegalOperation(f"Delivery {delivery_id} is {state}: only what waits at the head can be skipped.")
    row = _lock(delivery_id, *AT_REST)
    _end(row, SKIPPED)
    _note(SKIP, row, reason, {"state": SKIPPED})


def _end(row: Delivery, outcome: str) -> None:
    """Remove a delivery for good, with a receipt that says why, and let go what it held back."""
    Receipt.objects.create(
        message_id=row.message_id, consumer=row.consumer, attempts=row.attempts, duration_ms=0, outcome=outcome
    )
    Delivery.objects.filter(id=row.id).delete()
    if row.ordering_key is not None:
        open_unit().ended.add((row.consumer, row.ordering_key))


def each(verb: Verb, delivery_ids: Iterable[int], reason: str) -> list[ItemResult]:
    """Do `verb` to each of a snapshot of ids, each in a unit of work of its own; called by doors.

    One that cannot be done keeps no other from being done. Raises IllegalOperation for a blank reason.
    """
    reason = audit.require_reason(reason)
    return [_attempt(verb, delivery_id, reason) for delivery_id in delivery_ids]


def _attempt(verb: Verb, delivery_id: int, reason: str) -> ItemResult:
    try:
        with unit_of_work():
            verb(delivery_id, reason)
    except (OutboxError, DatabaseError) as error:
        log.warning("operation_refused", verb=verb.__name__, delivery=delivery_id, error=str(error))
        return ItemResult(delivery_id, done=False, detail=str(error).strip())
    return ItemResult(delivery_id, done=True, detail="")


def dead_letter_ids(consumer: str | None = None, fingerprint: str | None = None) -> list[int]:
    """Return the ids of the present dead letters, oldest first; of one consumer or one group when given."""
    rows = Delivery.objects.filter(state=DeliveryState.DEAD)
    if consumer is not None:
        rows = rows.filter(consumer=consumer)
    if fingerprint is not None:
        rows = rows.filter(fingerprint=fingerprint)
    return list(rows.order_by("id").values_list("id", flat=True))


def subject_of(delivery_id: int) -> str:
    """Return how the audit log names a delivery."""
    return f"delivery:{delivery_id}"


def message_of(delivery_id: int) -> UUID | None:
    """Return the message of a delivery, also when it has been retried and done or discarded since; None if unknown."""
    row = Delivery.objects.filter(id=delivery_id).first()
    if row is not None:
        return row.message_id
    entry = AuditEntry.objects.filter(subject=subject_of(delivery_id)).first()
    return UUID(entry.before["message_id"]) if entry and entry.before else None


def what_became_of(delivery_id: int) -> str:
    """Say in a sentence why a delivery is no dead letter any more, and who saw to it."""
    row = Delivery.objects.filter(id=delivery_id).first()
    entry = AuditEntry.objects.filter(subject=subject_of(delivery_id)).first()
    state = row.get_state_display().lower() if row else "done"
    if entry is None:
        return f"Delivery {delivery_id} is no dead letter: it is {state}." if row else _UNKNOWN.format(delivery_id)
    verb, now = _DID[entry.action], f"; it is {state} now" if entry.action == RETRY else ""
    return (
        f"Delivery {delivery_id} is no dead letter any more: {entry.actor} {verb} it at {entry.at:%H:%M:%S} UTC "
        f"({entry.reason}){now}."
    )


def _lock(delivery_id: int, *states: DeliveryState) -> Delivery:
    # The condition is part of the lock: a row that a worker holds by now is not waited for.
    row = Delivery.objects.select_for_update().filter(id=delivery_id, state__in=states).first()
    if row is None:
        raise IllegalOperation(what_became_of(delivery_id))
    return row


def _note(action: str, row: Delivery, reason: str, after: dict[str, Any]) -> None:
    before = {
        "message_id": str(row.message_id),
        "consumer": row.consumer,
        "state": row.state,
        "attempts": row.attempts,
        "crashes": row.crashes,
        "died_at": row.died_at.isoformat() if row.died_at else None,
        "error": row.last_error,
        "fingerprint": row.fingerprint,
    }
    audit.record(action, subject_of(row.id), reason=reason, before=before, after=after)
    log.info(action.rpartition(".")[2], delivery=row.id, consumer=row.consumer, message_id=str(row.message_id))
