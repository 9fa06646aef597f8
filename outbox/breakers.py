"""Circuit breakers: one state per destination, in the database, shared by all workers and hosts.

Closed: calls go out. After FAILURES_TO_OPEN failures in a row it opens: work waits in the queue and burns no attempts.
When the wait is over one worker at a time may send one probe (half open): its success closes the breaker, its failure
opens it again for twice as long. Operators may open and close it, for a time or for good. Each change is a row of its
history, an event, a figure and a line in the log; the event and the row commit with the change.
Source of the technique: Michael Nygard, "Release It!", 2007.
"""

from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from django.db import connection
from prometheus_client import Counter
from structlog import get_logger

from outbox import audit, doorbell
from outbox.consumers import ExternalConsumer, all_consumers
from outbox.context import current
from outbox.errors import IllegalOperation
from outbox.events import BreakerChanged
from outbox.models import BreakerChange, BreakerState
from outbox.publishing import open_unit, publish, require_unit_of_work, unit_of_work

FAILURES_TO_OPEN = 5
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 15.0
PROBE_SECONDS = 20.0
"""A probe that has not answered by then is given up, and another may be sent."""
CHANGES = Counter("tandem_breaker_changes_total", "Changes of circuit breakers", ["destination", "to_state"])

_REGISTER = """
INSERT INTO outbox_breaker (destination, consumers) VALUES (%s, %s)
ON CONFLICT (destination) DO UPDATE SET consumers = excluded.consumers
WHERE outbox_breaker.consumers <> excluded.consumers
"""
_TAKE_PROBE = """
WITH former AS (SELECT destination, state FROM outbox_breaker WHERE destination = %(destination)s FOR UPDATE)
UPDATE outbox_breaker b SET
    state = 'half_open', probe_until = now() + make_interval(secs => %(seconds)s), pinned = false, pinned_until = NULL,
    changed_at = CASE WHEN former.state = 'half_open' THEN changed_at ELSE now() END
FROM former WHERE b.destination = former.destination AND former.state <> 'closed'
  AND NOT (pinned AND coalesce(pinned_until > now(), true))
  AND coalesce(open_until, now()) <= now() AND coalesce(probe_until, now()) <= now()
RETURNING former.state
"""
_GIVE_BACK = "UPDATE outbox_breaker SET probe_until = NULL WHERE destination = %s AND state = 'half_open'"
_FAILED = """
WITH struck AS (
    SELECT destination, state AS was,
           CASE WHEN %(afresh)s AND state = 'closed' THEN 0 ELSE failures END + %(times)s AS failures,
           pinned AND coalesce(pinned_until > now(), true) AS fixed
    FROM outbox_breaker WHERE destination = %(destination)s FOR UPDATE
), judged AS (
    SELECT *, NOT fixed AND ((was = 'half_open' AND %(probe)s) OR (was = 'closed' AND failures >= %(limit)s)) AS opens
    FROM struck
)
UPDATE outbox_breaker b SET
    failures = judged.failures,
    state = CASE WHEN opens THEN 'open' ELSE b.state END,
    open_until = CASE WHEN opens
        THEN now() + make_interval(secs => least(%(longest)s, %(first)s * 2 ^ least(b.openings, 10)))
        ELSE b.open_until END,
    openings = b.openings + opens::int,
    probe_until = CASE WHEN opens THEN NULL ELSE b.probe_until END,
    changed_at = CASE WHEN opens AND was = 'closed' THEN now() ELSE b.changed_at END,
    pinned = b.pinned AND NOT opens,
    reason = CASE WHEN fixed THEN b.reason ELSE %(reason)s END
FROM judged WHERE b.destination = judged.destination
RETURNING opens, was
"""
_CLOSE_AFTER_PROBE = """
UPDATE outbox_breaker SET
    state = 'closed', failures = 0, openings = 0, open_until = NULL, probe_until = NULL, reason = '', changed_at = now()
WHERE destination = %s AND state = 'half_open'
RETURNING 1
"""
_THROTTLE = """
UPDATE outbox_breaker SET
    throttled_until = greatest(coalesce(throttled_until, now()), now() + make_interval(secs => %s)), probe_until = NULL
WHERE destination = %s
"""
_PIN = """
WITH former AS (SELECT destination, state FROM outbox_breaker WHERE destination = %(destination)s FOR UPDATE)
UPDATE outbox_breaker b SET
    state = %(state)s, pinned = %(pinned)s, pinned_until = now() + make_interval(secs => %(seconds)s::float),
    reason = %(reason)s, failures = 0, openings = 0, open_until = NULL, probe_until = NULL, throttled_until = NULL,
    changed_at = CASE WHEN former.state = %(state)s THEN changed_at ELSE now() END
FROM former WHERE b.destination = former.destination
RETURNING former.state, b.pinned_until, b.consumers
"""

log = get_logger("outbox.breaker")


def register_destinations() -> None:
    """Make sure that every destination has its row, with the consumers that wait on it."""
    by_destination: dict[str, list[str]] = {}
    for entry in all_consumers():
        if isinstance(entry, ExternalConsumer):
            by_destination.setdefault(entry.destination, []).append(entry.name)
    for destination, names in sorted(by_destination.items()):
        _execute(_REGISTER, (destination, names))


def take_probe(destination: str) -> bool:
    """Take the one probe of a breaker that is not closed; False when somebody else has it, or it may not be sent yet.

    Whoever gets it reports back with succeeded, failed, throttled or give_back.
    """
    with unit_of_work():
        row = _execute(_TAKE_PROBE, {"destination": destination, "seconds": PROBE_SECONDS})
        if row and row[0] == BreakerState.OPEN:
            _note(destination, BreakerState.OPEN, BreakerState.HALF_OPEN, "its wait is over: one probe is sent")
    return row is not None


def give_back(destination: str, *, probe: bool) -> None:
    """Return a probe that was not used."""
    if probe:
        _execute(_GIVE_BACK, (destination,))


def probe_succeeded(destination: str) -> None:
    """Close the breaker: its probe worked. Any other success closes nothing: a late answer proves nothing."""
    with unit_of_work():
        if _execute(_CLOSE_AFTER_PROBE, (destination,)):
            _note(destination, BreakerState.HALF_OPEN, BreakerState.CLOSED, "its probe worked")


def failed(destination: str, *, probe: bool, reason: str, times: int = 1, afresh: bool = False) -> None:
    """Note calls that failed in a way that says something about the destination; `afresh`: after one that worked.

    While half open only the probe's word counts: an older call that fails late must not take the probe's place.
    """
    parameters = {
        "destination": destination,
        "probe": probe,
        "times": times,
        "afresh": afresh,
        "limit": FAILURES_TO_OPEN,
        "first": FIRST_WAIT_SECONDS,
        "longest": LONGEST_WAIT_SECONDS,
        "reason": reason,
    }
    with unit_of_work():
        row = _execute(_FAILED, parameters)
        if row and row[0]:
            _note(destination, BreakerState(row[1]), BreakerState.OPEN, reason)


def throttled(destination: str, seconds: float, *, probe: bool) -> None:
    """Note that the destination wants no call for `seconds`."""
    _execute(_THROTTLE, (seconds, destination))
    give_back(destination, probe=probe)
    log.info("destination_throttled", destination=destination, seconds=seconds)


@require_unit_of_work
def open_by_hand(destination: str, reason: str, lasting: timedelta | None = None) -> None:
    """Let nobody call `destination`: for `lasting`, after which a probe is sent, or until somebody closes it.

    Raises IllegalOperation for an unknown destination or a blank reason.
    """
    _pin(destination, BreakerState.OPEN, reason, lasting, pinned=True)


@require_unit_of_work
def close_by_hand(destination: str, reason: str, lasting: timedelta | None = None) -> None:
    """Let `destination` be called again at once, also where it had asked for a pause.

    For `lasting` no failure opens it; without, it guards as usual. Raises IllegalOperation as open_by_hand does.
    """
    _pin(destination, BreakerState.CLOSED, reason, lasting, pinned=lasting is not None)


def _pin(destination: str, state: BreakerState, reason: str, lasting: timedelta | None, *, pinned: bool) -> None:
    reason = audit.require_reason(reason)
    seconds = lasting.total_seconds() if lasting else None
    parameters = {
        "destination": destination,
        "state": state.value,
        "pinned": pinned,
        "seconds": seconds,
        "reason": reason if pinned else "",
    }
    row = _execute(_PIN, parameters)
    if row is None:
        raise IllegalOperation(f"No destination is called {destination!r}.")
    former, until, consumers = BreakerState(row[0]), row[1], row[2]
    verb = "open" if state is BreakerState.OPEN else "close"
    after = {"state": state.value, "until": until.isoformat() if until else None}
    audit.record(
        f"outbox.{verb}_breaker",
        f"destination:{destination}",
        reason=reason,
        before={"state": former.value},
        after=after,
    )
    if former is not state:
        _note(destination, former, state, reason, actor=current().actor or "system", until=until)
    if state is BreakerState.CLOSED:
        open_unit().rings.update((doorbell.WORK, name) for name in consumers)


def _note(
    destination: str, former: BreakerState, state: BreakerState, reason: str, *, actor: str = "", until: Any = None
) -> None:
    """Tell of a change, in the unit of work that makes it."""
    BreakerChange.objects.create(
        destination=destination, from_state=former, to_state=state, reason=reason, actor=actor, until=until
    )
    publish(
        BreakerChanged(
            destination_id=uuid5(NAMESPACE_DNS, destination),
            destination=destination,
            from_state=former.value,
            to_state=state.value,
            reason=reason,
            actor=actor,
        )
    )
    CHANGES.labels(destination, state.value).inc()
    level = log.warning if state is BreakerState.OPEN else log.info
    words = {BreakerState.OPEN: "breaker_opened", BreakerState.CLOSED: "breaker_closed"}
    level(words.get(state, "breaker_probes"), destination=destination, reason=reason, actor=actor)


def _execute(sql: str, parameters: Any) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
    return row
