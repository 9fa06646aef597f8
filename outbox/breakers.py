"""Circuit breakers: one state per destination, in the database, shared by all workers and hosts.

Closed: calls go out. After FAILURES_TO_OPEN failures in a row it opens: work waits in the queue and burns no attempts.
When the wait is over one worker at a time may send one probe (half open): its success closes the breaker, its failure
opens it again for twice as long. Source of the technique: Michael Nygard, "Release It!", 2007.
"""

from enum import Enum
from typing import Any

from django.db import connection
from structlog import get_logger

from outbox.consumers import ExternalConsumer, all_consumers

FAILURES_TO_OPEN = 5
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 15.0
PROBE_SECONDS = 20.0
"""A probe that has not answered by then is given up, and another may be sent."""

_READ = """
SELECT state, coalesce(open_until > now(), false), coalesce(probe_until > now(), false),
       coalesce(throttled_until > now(), false)
FROM outbox_breaker WHERE destination = %s
"""
_REGISTER = """
INSERT INTO outbox_breaker (destination, consumers) VALUES (%s, %s)
ON CONFLICT (destination) DO UPDATE SET consumers = excluded.consumers
WHERE outbox_breaker.consumers <> excluded.consumers
"""
_TAKE_PROBE = """
UPDATE outbox_breaker SET
    state = 'half_open', probe_until = now() + make_interval(secs => %s),
    changed_at = CASE WHEN state = 'half_open' THEN changed_at ELSE now() END
WHERE destination = %s AND state <> 'closed' AND coalesce(open_until, now()) <= now()
  AND coalesce(probe_until, now()) <= now()
RETURNING 1
"""
_GIVE_BACK = "UPDATE outbox_breaker SET probe_until = NULL WHERE destination = %s AND state = 'half_open'"
_FAILED = """
WITH struck AS (
    SELECT destination, state AS was, failures + 1 AS failures,
           (state = 'half_open' AND %(probe)s) OR (state = 'closed' AND failures + 1 >= %(limit)s) AS opens
    FROM outbox_breaker WHERE destination = %(destination)s FOR UPDATE
)
UPDATE outbox_breaker b SET
    failures = struck.failures,
    state = CASE WHEN struck.opens THEN 'open' ELSE b.state END,
    open_until = CASE WHEN struck.opens
        THEN now() + make_interval(secs => least(%(longest)s, %(first)s * 2 ^ least(b.openings, 10)))
        ELSE b.open_until END,
    openings = b.openings + struck.opens::int,
    probe_until = CASE WHEN struck.opens THEN NULL ELSE b.probe_until END,
    changed_at = CASE WHEN struck.opens AND struck.was = 'closed' THEN now() ELSE b.changed_at END,
    reason = %(reason)s
FROM struck WHERE b.destination = struck.destination
RETURNING struck.opens, b.state
"""
_CLOSE = """
UPDATE outbox_breaker SET
    state = 'closed', failures = 0, openings = 0, open_until = NULL, probe_until = NULL, reason = '',
    changed_at = CASE WHEN state = 'closed' THEN changed_at ELSE now() END
WHERE destination = %s AND (failures > 0 OR state <> 'closed') AND (state = 'closed' OR %s)
RETURNING 1
"""
_THROTTLE = """
UPDATE outbox_breaker SET
    throttled_until = greatest(coalesce(throttled_until, now()), now() + make_interval(secs => %s)), probe_until = NULL
WHERE destination = %s
"""

log = get_logger("outbox.breaker")


class Gate(Enum):
    """Whether a destination may be called now."""

    GO = "go"
    PROBE = "probe"
    """One call, to see whether it works again."""
    WAIT = "wait"


def register_destinations() -> None:
    """Make sure that every destination has its row, with the consumers that wait on it."""
    by_destination: dict[str, list[str]] = {}
    for entry in all_consumers():
        if isinstance(entry, ExternalConsumer):
            by_destination.setdefault(entry.destination, []).append(entry.name)
    with connection.cursor() as cursor:
        for destination, names in sorted(by_destination.items()):
            cursor.execute(_REGISTER, (destination, names))


def gate(destination: str) -> Gate:
    """Tell whether `destination` may be called now; PROBE is given to one caller at a time.

    Whoever gets PROBE reports back with succeeded, failed, throttled or give_back.
    """
    state, waiting, probing, throttled = _execute(_READ, (destination,)) or ("closed", False, False, False)
    if throttled:
        return Gate.WAIT
    if state == "closed":
        return Gate.GO
    if waiting or probing:
        return Gate.WAIT
    return Gate.PROBE if _execute(_TAKE_PROBE, (PROBE_SECONDS, destination)) else Gate.WAIT


def give_back(destination: str, *, probe: bool) -> None:
    """Return a probe that was not used."""
    if probe:
        _execute(_GIVE_BACK, (destination,))


def succeeded(destination: str, *, probe: bool) -> None:
    """Note a call that worked. Only a probe's success closes an open breaker: a late answer proves nothing."""
    if _execute(_CLOSE, (destination, probe)) and probe:
        log.info("breaker_closed", destination=destination)


def failed(destination: str, *, probe: bool, reason: str) -> None:
    """Note a call that failed in a way that says something about the destination.

    While half open only the probe's word counts: an older call that fails late must not take the probe's place.
    """
    parameters = {
        "destination": destination,
        "probe": probe,
        "limit": FAILURES_TO_OPEN,
        "first": FIRST_WAIT_SECONDS,
        "longest": LONGEST_WAIT_SECONDS,
        "reason": reason,
    }
    opened = _execute(_FAILED, parameters)
    if opened and opened[0]:
        log.warning("breaker_opened", destination=destination, reason=reason)


def throttled(destination: str, seconds: float, *, probe: bool) -> None:
    """Note that the destination wants no call for `seconds`."""
    _execute(_THROTTLE, (seconds, destination))
    give_back(destination, probe=probe)
    log.info("destination_throttled", destination=destination, seconds=seconds)


def _execute(sql: str, parameters: Any) -> tuple[object, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[object, ...] | None = cursor.fetchone() if cursor.description else None
    return row
