"""What becomes of an attempt that failed: classified, recorded, and the delivery put where it belongs."""

import hashlib
import re
import traceback
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db import IntegrityError, OperationalError, connection
from structlog import get_logger

from outbox import doorbell, stats
from outbox.conf import conf
from outbox.consumers import AnyConsumer
from outbox.engine import queue
from outbox.engine.queue import Claimed
from outbox.errors import InvalidPayload, UnknownContract
from outbox.models import Attempt
from outbox.outcomes import Outcome, Permanent, Snooze, Throttled, Transient
from outbox.publishing import open_unit
from outbox.retry import Kind, RetryPolicy
from outbox.sagas.attention import delivery_died

CRASHES_UNTIL_ISOLATED = 2
CRASHES_UNTIL_DEAD = 3
MAX_ERROR_CHARACTERS = 2_000
MAX_TRACEBACK_CHARACTERS = 20_000
CONTENTION_STATES = {"40001", "40P01", "55P03"}
"""serialization_failure, deadlock_detected, lock_not_available: somebody else was first; nothing is wrong."""

INTERRUPTION_STATES = {"57P01", "57P02", "57P03"}
"""admin_shutdown, crash_shutdown, cannot_connect_now; besides the whole class 08, and errors that no server sent."""
INTERRUPTIONS_UNTIL_BLAMED = 10
"""A message whose session ends this often is the reason for it, whatever the error says."""

log = get_logger("outbox.failures")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a delivery goes after a failed attempt."""

    kind: str
    """transient, unknown, throttled, permanent, parked, snoozed, contended or interrupted."""
    state: str
    delay: timedelta | None
    counts: bool
    """Whether the attempt is counted."""
    unknown: bool = False
    """It may even have worked: the answer is missing, or the error says nothing."""
    late: str = ""
    """Why it is too late for another attempt, as a sentence; empty when it is not."""

    @property
    def final(self) -> bool:
        """No further attempt will be made."""
        return self.state == "dead"


def is_contention(error: BaseException) -> bool:
    """Tell whether the database aborted the work only because others were at the same rows."""
    return isinstance(error, OperationalError) and getattr(error.__cause__, "sqlstate", None) in CONTENTION_STATES


def is_repeat(error: BaseException) -> bool:
    """Tell whether the work failed because the message had its receipt already: it was delivered twice."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return isinstance(error, IntegrityError) and str(getattr(diagnosis, "constraint_name", "")).startswith(
        "outbox_receipt"
    )


def is_interruption(error: BaseException) -> bool:
    """Tell whether the session with the database ended under the work: Django may have a new one by now."""
    cause = error.__cause__
    if not isinstance(error, OperationalError) or not isinstance(cause, psycopg.OperationalError):
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith("08") or cause.sqlstate in INTERRUPTION_STATES


def connection_lost(error: BaseException) -> bool:
    """Tell whether the database went away under the work, so that nothing can be recorded now."""
    if isinstance(error, psycopg.Error):
        return True  # the worker's own connection: Django wraps the errors of its own
    return isinstance(error, OperationalError) and not connection.is_usable()


def policy_of(consumer: AnyConsumer) -> RetryPolicy:
    """Return the consumer's own policy, or the one of the settings."""
    return consumer.retry or RetryPolicy(attempts=conf.MAX_ATTEMPTS, cap_seconds=conf.BACKOFF_CAP_SECONDS)


def judge(error: BaseException, attempt: int, policy: RetryPolicy) -> Verdict:
    """Classify the failure of attempt number `attempt`."""
    if isinstance(error, Outcome):
        return _as_told(error, attempt, policy)
    if is_contention(error):
        return Verdict("contended", "scheduled", timedelta(milliseconds=50 + 50 * min(attempt, 10)), counts=False)
    if is_interruption(error):
        return Verdict("interrupted", "scheduled", timedelta(milliseconds=500), counts=False)
    if isinstance(error, UnknownContract):
        return Verdict("parked", "parked", None, counts=False)
    if isinstance(error, InvalidPayload):
        return _PERMANENT
    return _as_classified(_kind_of(error, policy), error, attempt, policy)


_PERMANENT = Verdict("permanent", "dead", None, counts=True)


def _as_told(outcome: Outcome, attempt: int, policy: RetryPolicy) -> Verdict:
    if isinstance(outcome, Snooze):
        return Verdict("snoozed", "scheduled", outcome.delay, counts=False)
    if isinstance(outcome, Throttled):
        return Verdict("throttled", "scheduled", timedelta(seconds=outcome.retry_after), counts=False)
    if isinstance(outcome, Permanent):
        return _PERMANENT
    unknown = isinstance(outcome, Transient) and outcome.unknown
    return _counted("unknown" if unknown else "transient", attempt, policy, unknown=unknown)


def _kind_of(error: BaseException, policy: RetryPolicy) -> Kind | None:
    """Ask the policy; one that stumbles over an error knows nothing of it."""
    if policy.classify is None:
        return None
    try:
        return policy.classify(error)
    except Exception:
        log.exception("classify_failed", error=f"{type(error).__name__}: {error}"[:300])
        return None


def _as_classified(kind: Kind | None, error: BaseException, attempt: int, policy: RetryPolicy) -> Verdict:
    if kind is Kind.PERMANENT:
        return _PERMANENT
    if kind is Kind.THROTTLED:
        return Verdict("throttled", "scheduled", _told_wait(error) or policy.delay(attempt), counts=False)
    unclear = kind is None or kind is Kind.UNKNOWN
    return _counted("unknown" if kind is Kind.UNKNOWN else "transient", attempt, policy, unknown=unclear)


def _told_wait(error: BaseException) -> timedelta | None:
    seconds = getattr(error, "retry_after", None)
    return timedelta(seconds=seconds) if isinstance(seconds, int | float) and seconds >= 0 else None


def verdict_on(
    claimed: Claimed, error: BaseException, policy: RetryPolicy, milliseconds: int, *, probe: bool = False
) -> Verdict:
    """Classify the failure of a claimed message, whose attempt lasted `milliseconds`.

    One that ends its session again and again is blamed for it. A `probe` that shows that an outage lasts costs its
    message no attempt, else the few messages of a quiet hour would be given up before a long outage ends. What would be
    tried again after the policy's deadline is given up.
    """
    verdict = judge(error, claimed.attempts + 1, policy)
    if verdict.kind == "interrupted":
        past = Attempt.objects.filter(message_id=claimed.message_id, consumer=claimed.consumer, kind="interrupted")
        if past.count() >= INTERRUPTIONS_UNTIL_BLAMED:
            verdict = _counted("transient", claimed.attempts + 1, policy)
    if probe and verdict.kind in ("transient", "unknown"):
        verdict = replace(verdict, state="scheduled", delay=policy.delay(claimed.attempts + 1), counts=False)
    return _in_time(claimed, verdict, policy, milliseconds)


_TOO_LATE = """
SELECT began FROM (
    SELECT coalesce(tried_since, now() - make_interval(secs => %s)) AS began FROM outbox_delivery WHERE id = %s
) tried WHERE began + make_interval(secs => %s) < now() + make_interval(secs => %s)
"""


def _in_time(claimed: Claimed, verdict: Verdict, policy: RetryPolicy, milliseconds: int) -> Verdict:
    """Give up what would be tried again later than the policy allows, by the database's clock."""
    if policy.deadline is None or verdict.delay is None:
        return verdict
    spans = (milliseconds / 1000, claimed.id, policy.deadline.total_seconds(), verdict.delay.total_seconds())
    with connection.cursor() as cursor:
        cursor.execute(_TOO_LATE, spans)
        row = cursor.fetchone()
    if row is None:
        return verdict
    late = f"It was first tried at {row[0]:%F %T} UTC, and may be tried for {policy.deadline} only."
    return replace(verdict, state="dead", delay=None, late=late)


def _counted(kind: str, attempt: int, policy: RetryPolicy, *, unknown: bool = False) -> Verdict:
    if policy.is_last(attempt):
        return Verdict(kind, "dead", None, counts=True, unknown=unknown)
    return Verdict(kind, "scheduled", policy.delay(attempt), counts=True, unknown=unknown)


def never_again(verdict: Verdict) -> Verdict:
    """Return the verdict on a call that must not be repeated, whatever its failure was."""
    return replace(verdict, state="dead", delay=None, counts=True)


def fingerprint(consumer: str, error: BaseException) -> str:
    """Return what failures of one cause have in common: consumer, class, message without its variables, top frame."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\d+", "#", str(error).lower())
    return hashlib.sha256("\0".join((consumer, type(error).__qualname__, text, frame)).encode()).hexdigest()[:16]


_RESCHEDULE = """
UPDATE outbox_delivery
SET state = %(state)s, attempts = attempts + %(step)s, crashes = CASE WHEN %(counts)s THEN 0 ELSE crashes END,
    due_at = CASE WHEN %(state)s = 'scheduled' THEN now() + make_interval(secs => %(delay)s) END,
    waiting_for = %(waiting_for)s, last_error = %(error)s, fingerprint = %(fingerprint)s,
    tried_since = coalesce(tried_since, now() - make_interval(secs => %(spent)s)),
    died_at = CASE WHEN %(state)s = 'dead' THEN now() END, lease_owner = NULL, lease_until = NULL
WHERE id = %(id)s AND (lease_owner = %(owner)s OR (lease_owner IS NULL AND state IN ('ready', 'isolated', 'parked')))
RETURNING 1
"""


def record(
    claimed: Claimed, verdict: Verdict, error: BaseException, *, owner: UUID, counted: bool, milliseconds: int
) -> bool:
    """Write the failed attempt and move the delivery, in the open unit of work.

    `counted` tells that the row already counts this attempt (external consumers count it with the lease). Returns
    False, and writes nothing, when another worker has taken the delivery over.
    """
    mark = fingerprint(claimed.consumer, error)
    parameters: dict[str, Any] = {
        "id": claimed.id,
        "owner": owner,
        "state": verdict.state,
        "counts": verdict.counts,
        "step": int(verdict.counts) - int(counted),
        "delay": verdict.delay.total_seconds() if verdict.delay else 0.0,
        "waiting_for": str(error)[:200] if verdict.delay and verdict.kind in ("snoozed", "throttled") else "",
        "error": f"{verdict.late} {type(error).__name__}: {error}".strip()[:MAX_ERROR_CHARACTERS],
        "fingerprint": mark,
        "spent": milliseconds / 1000,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESCHEDULE, parameters)
        if cursor.fetchone() is None:
            return False
    if verdict.delay is not None:
        open_unit().set_timer(verdict.delay.total_seconds())
    if verdict.kind in ("snoozed", "contended") and not verdict.final:
        return True
    _write_attempt(claimed, verdict, error, mark, owner, milliseconds)
    stats.count(claimed.consumer, {"dead": "dead", "parked": "parked"}.get(verdict.state, "failed"))
    if verdict.state == "parked":
        open_unit().rings.add((doorbell.WORK, doorbell.PARKED))
    if verdict.final:
        delivery_died(claimed.message_id, claimed.consumer, reason=f"{verdict.late} {error}".strip())
    return True


def record_once(
    claimed: Claimed, verdict: Verdict, error: BaseException, *, owner: UUID, counted: bool, milliseconds: int
) -> bool:
    """Write the failure of a call that was acknowledged before it was made: its receipt says `failed`."""
    queue.end_once(claimed, "failed", milliseconds)
    _write_attempt(claimed, verdict, error, fingerprint(claimed.consumer, error), owner, milliseconds)
    stats.count(claimed.consumer, "failed")
    delivery_died(claimed.message_id, claimed.consumer, reason=str(error))
    return True


def _write_attempt(
    claimed: Claimed, verdict: Verdict, error: BaseException, mark: str, owner: UUID, milliseconds: int
) -> None:
    trace = "".join(traceback.format_exception(error))
    Attempt.objects.create(
        message_id=claimed.message_id,
        consumer=claimed.consumer,
        number=claimed.attempts + 1,
        kind=verdict.kind,
        error_class=f"{type(error).__module__}.{type(error).__qualname__}",
        error=f"{verdict.late} {error}".strip()[:MAX_ERROR_CHARACTERS],
        fingerprint=mark,
        traceback=trace[-MAX_TRACEBACK_CHARACTERS:],
        duration_ms=milliseconds,
        worker_id=owner,
    )
    log.warning(
        "attempt_failed",
        consumer=claimed.consumer,
        message=claimed.name,
        message_id=str(claimed.message_id),
        correlation_id=str(claimed.correlation_id),
        attempt=claimed.attempts + 1,
        kind=verdict.kind,
        error=f"{type(error).__name__}: {error}"[:300],
        next_in_s=round(verdict.delay.total_seconds(), 2) if verdict.delay else None,
        dead=verdict.final,
    )
