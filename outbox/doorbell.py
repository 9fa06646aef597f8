"""Waking whoever waits, through PostgreSQL's NOTIFY. A lost ring costs one poll interval, nothing else.

Rung after COMMIT as a statement of its own: NOTIFY inside a writing transaction takes a database-wide lock across
the commit and defeats group commit. A ring need not survive a crash of the server, so nobody waits for the disk on its
account (docs/why/engine-performance.md has the figures).
"""

from collections.abc import Collection

from django.db import DatabaseError, connection
from structlog import get_logger

WORK = "outbox_work"
"""Channel of the workers; the payload names the consumer that has something to do."""
LOOK = "(look)"
"""Rung for instead of a consumer: something changed that only a look around shows, such as a pause."""
PARKED = "(parked)"
"""Rung for instead of a consumer: somebody parked what another release may know."""
_DUE_IN = "(due) "

log = get_logger("outbox.doorbell")


def due_in(seconds: float) -> str:
    """Return what is rung for when a timer has been set that is due before those who sleep would look again."""
    return f"{_DUE_IN}{max(0.0, seconds):.3f}"


def soonest_due(rung: Collection[str]) -> float | None:
    """Return in how many seconds the first of the timers is due that were rung for; None when there was none."""
    return min((float(name.removeprefix(_DUE_IN)) for name in rung if name.startswith(_DUE_IN)), default=None)


def consumers_among(rung: Collection[str]) -> list[str]:
    """Return those of what was rung for that are consumers."""
    return [name for name in rung if not name.startswith("(")]


def ring(rings: Collection[tuple[str, str]]) -> None:
    """Notify each (channel, payload), all in one statement. Call it after COMMIT; a failure is logged, not raised."""
    if not rings:
        return
    calls = ", ".join(["pg_notify(%s, %s)"] * len(rings))
    parameters = [part for pair in rings for part in pair]
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT set_config('synchronous_commit', 'off', true), {calls}", parameters)
    except DatabaseError as error:
        # What was committed stands; polling finds it.
        log.warning("doorbell_lost", error=str(error))
