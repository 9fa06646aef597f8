"""Flow control: operators pause consumers; their work waits in the queue, and nobody else's does.

Workers read the table at most every CACHE_SECONDS, so that a pause takes effect within a second. A consumer's calls
that are under way are finished: a call cannot be taken back.
"""

import time
from collections.abc import Collection

from django.db import connection

from outbox import audit, doorbell
from outbox.consumers import all_consumers
from outbox.context import current
from outbox.errors import IllegalOperation
from outbox.publishing import open_unit, require_unit_of_work

CACHE_SECONDS = 0.25

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

_paused: frozenset[str] = frozenset()
_read_at = float("-inf")


def paused() -> frozenset[str]:
    """Return the names of the paused consumers, at most CACHE_SECONDS old."""
    global _paused, _read_at
    if time.monotonic() - _read_at > CACHE_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute("SELECT consumer FROM outbox_control WHERE paused")
            _paused = frozenset(row[0] for row in cursor.fetchall())
        _read_at = time.monotonic()
    return _paused


def is_paused(consumer: str) -> bool:
    """Tell whether `consumer` may not take work now."""
    return consumer in paused()


def forget() -> None:
    """Drop what this process remembers, so that the next look reads the database."""
    global _read_at
    _read_at = float("-inf")


def look_again_if_rung(rung: Collection[str]) -> None:
    """Forget the pauses when one of them is rung for: it may be the ring of its resumption."""
    if not _paused.isdisjoint(rung):
        forget()


@require_unit_of_work
def pause(consumers: Collection[str], reason: str) -> list[str]:
    """Pause `consumers`; return those that were not paused before. Raises IllegalOperation for an unknown name."""
    reason = audit.require_reason(reason)
    known = [entry.name for entry in all_consumers()]
    unknown = sorted(set(consumers).difference(known))
    if unknown:
        raise IllegalOperation(f"No consumer is called {unknown[0]!r}. There are: {', '.join(known)}.")
    return [name for name in sorted(set(consumers)) if _switch(_PAUSE, (name, reason, _actor()), name, reason, True)]


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
