"""Flow control: operators pause and throttle consumers; their work waits in the queue, and nobody else's does.

Workers read the table whenever they look around, and a decision rings for them, so that it takes effect at once. A
consumer's calls that are under way are finished: a call cannot be taken back. outbox/throttles.py sets the limits.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from outbox import audit, doorbell
from outbox.consumers import all_consumers
from outbox.context import current
from outbox.errors import IllegalOperation
from outbox.publishing import open_unit, require_unit_of_work

CACHE_SECONDS = 1.5
"""How long what a process remembers is good; a worker's looks renew it every second."""

_PAUSE = """
INSERT INTO outbox_control AS control (consumer, paused, reason, actor) VALUES (%s, true, %s, %s)
ON CONFLICT (consumer) DO UPDATE
SET paused = true, reason = excluded.reason, actor = excluded.actor, changed_at = now()
WHERE NOT control.paused
RETURNING 1
"""
_RESUME = """
UPDATE outbox_control SET paused = false, reason = %s, actor = %s, changed_at = now()
WHERE consumer = %s AND paused RETURNING 1
"""

DECIDED = """
SELECT consumer, paused, CASE WHEN holds THEN limit_concurrency END, CASE WHEN holds THEN limit_per_second END
FROM outbox_control, LATERAL (SELECT coalesce(limit_until > now(), true) AS holds) throttle
"""
_TAKE = """
WITH wanted AS (
    SELECT count(*)::int AS messages FROM (
        SELECT 1 FROM outbox_delivery WHERE consumer = %(consumer)s::text AND state = 'ready' LIMIT %(want)s::int
    ) head
), bucket AS MATERIALIZED (
    SELECT * FROM outbox_control WHERE consumer = %(consumer)s::text AND (SELECT messages FROM wanted) > 0 FOR UPDATE
), moment AS MATERIALIZED (
    SELECT consumer, tokens, clock_timestamp() AS at, reckoned_at FROM bucket
), filled AS (
    SELECT consumer, at, least(greatest(1, %(rate)s::float), coalesce(tokens, greatest(1, %(rate)s::float))
        + %(rate)s::float * greatest(0, coalesce(extract(epoch FROM at - reckoned_at), 0))::float) AS tokens_now
    FROM moment
), verdict AS (
    SELECT filled.*, messages, least(messages, floor(tokens_now))::int AS granted FROM filled, wanted
)
UPDATE outbox_control c SET tokens = tokens_now - granted, reckoned_at = at,
    limited_at = CASE WHEN granted < messages THEN at ELSE c.limited_at END
FROM verdict v WHERE c.consumer = v.consumer
RETURNING granted, CASE WHEN granted = 0 THEN (1 - tokens_now) / %(rate)s::float END,
    set_config('synchronous_commit', 'off', true)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What operators allow a consumer, over all workers together; None: no limit of theirs."""

    concurrency: int | None = None
    per_second: float | None = None


NO_LIMITS = Limits()

_paused: frozenset[str] = frozenset()
_limits: dict[str, Limits] = {}
_read_at = float("-inf")


def _look() -> None:
    """Read what was decided, when that was not done lately."""
    if time.monotonic() - _read_at > CACHE_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute(DECIDED)
            remember(cursor.fetchall())


def remember(decided: Iterable[Sequence[Any]]) -> None:
    """Take in what a look at the database has shown: the rows of DECIDED."""
    global _paused, _limits, _read_at
    rows = list(decided)
    _paused = frozenset(name for name, is_paused, _, _ in rows if is_paused)
    _limits = {name: Limits(at_once, rate) for name, _, at_once, rate in rows if at_once or rate}
    _read_at = time.monotonic()


def paused() -> frozenset[str]:
    """Return the names of the paused consumers, at most CACHE_SECONDS old."""
    _look()
    return _paused


def limits_of(consumer: str) -> Limits:
    """Return what operators allow `consumer`, at most CACHE_SECONDS old."""
    _look()
    return _limits.get(consumer, NO_LIMITS)


def take(consumer: str, want: int, per_second: float) -> tuple[int, float | None]:
    """Take up to `want` messages out of a throttled consumer's rate, no more than wait in its queue.

    Returns how many may be handled and, when none may, the seconds until one may (None: nothing waits).
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"consumer": consumer, "want": want, "rate": per_second})
        row = cursor.fetchone()
    return (row[0], row[1]) if row else (0, None)


def is_paused(consumer: str) -> bool:
    """Tell whether `consumer` may not take work now."""
    return consumer in paused()


def forget() -> None:
    """Drop what this process remembers, so that the next look reads the database."""
    global _read_at
    _read_at = float("-inf")


def look_again_if_rung(rung: Collection[str]) -> None:
    """Forget what was decided about a consumer that is rung for: it may be the ring of its resumption."""
    if not _paused.isdisjoint(rung) or not _limits.keys().isdisjoint(rung):
        forget()


@require_unit_of_work
def pause(consumers: Collection[str], reason: str) -> list[str]:
    """Pause `consumers`; return those that were not paused before. Raises IllegalOperation for an unknown name."""
    reason = audit.require_reason(reason)
    known = [entry.name for entry in all_consumers()]
    unknown = sorted(set(consumers).difference(known))
    if unknown:
        raise IllegalOperation(f"No consumer is called {unknown[0]!r}. There are: {', '.join(known)}.")
    names = [name for name in sorted(set(consumers)) if _switch(_PAUSE, (name, reason, _actor()), name, reason, True)]
    open_unit().rings.update((doorbell.WORK, doorbell.LOOK) for _ in names)
    return names


@require_unit_of_work
def resume(consumers: Collection[str], reason: str) -> list[str]:
    """Let paused `consumers` go on at once; return those that were paused."""
    reason = audit.require_reason(reason)
    names = [name for name in sorted(set(consumers)) if _switch(_RESUME, (reason, _actor(), name), name, reason, False)]
    open_unit().rings.update((doorbell.WORK, name) for name in names)
    return names


def _actor() -> str:
    return current().actor or "system"


def _switch(sql: str, parameters: tuple[str, ...], name: str, reason: str, paused_after: bool) -> bool:
    """Change one consumer's row, and note it; False when it was so already."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        changed = cursor.fetchone() is not None
    if changed:
        action = "outbox.pause_consumer" if paused_after else "outbox.resume_consumer"
        before, after = {"paused": not paused_after}, {"paused": paused_after}
        audit.record(action, f"consumer:{name}", reason=reason, before=before, after=after)
    return changed
