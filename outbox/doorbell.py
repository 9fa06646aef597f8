"""Waking whoever waits, through PostgreSQL's NOTIFY. A lost ring costs one poll interval, nothing else.

Rung after COMMIT, in the same message as it but as a transaction of its own: NOTIFY inside a writing transaction takes
a database-wide lock across the commit and defeats group commit (docs/why/engine-performance.md has the figures).
"""

from collections.abc import Collection

from django.db import connection

WORK = "outbox_work"
"""Channel of the workers; the payload names the consumer that has something to do."""
LOOK = "(look)"
"""Rung for instead of a consumer: something changed that only a look around shows, such as a pause."""
PARKED = "(parked)"
"""Rung for instead of a consumer: somebody parked what another release may know."""
_DUE_IN = "(due) "


def due_in(seconds: float) -> str:
    """Return what is rung for when a timer has been set that is due before those who sleep would look again."""
    return f"{_DUE_IN}{max(0.0, seconds):.3f}"


def soonest_due(rung: Collection[str]) -> float | None:
    """Return in how many seconds the first of the timers is due that were rung for; None when there was none."""
    return min((float(name.removeprefix(_DUE_IN)) for name in rung if name.startswith(_DUE_IN)), default=None)


def consumers_among(rung: Collection[str]) -> list[str]:
    """Return those of what was rung for that are consumers."""
    return [name for name in rung if not name.startswith("(")]


def ring_at_commit(rings: Collection[tuple[str, str]]) -> None:
    """Have each (channel, payload) rung once the open transaction has committed; a failure is logged, not raised."""
    if not rings:
        return
    connection.ensure_connection()
    for channel, payload in rings:
        connection.connection.ring_at_commit(channel, payload)
