"""The engine after a long time: much was done, much waits for others, much was given up."""

import statistics
import time
from collections.abc import Callable

from django.db import connection

from config.pulse import take_pulse
from outbox import stats
from tests.bench.commands import Forwarded, Noop, Update
from tests.bench.engine.backlog import empty_tables, fill, fill_history
from tests.bench.engine.drains import consumer_of, drain_beside, pause
from tests.bench.engine.waiting import pickup
from tests.bench.measuring import Samples

DONE = 1_000_000
WAITING = 150_000
"""Of a consumer that is paused."""
SCHEDULED = 50_000
"""For tomorrow."""
DEAD = 10_000
LOOKS = 5
OTHER = consumer_of(Forwarded)
LAST_WEEKS = f"now() - (1 - number / {DONE}.0) * interval '25 days'"
"""When it was done: evenly, so that two months hold it but for the last days of one."""
AN_HOUR_AGO = "now() - interval '1 hour'"


def grow() -> None:
    """Fill the tables; the dead are of the consumer that will be drained."""
    empty_tables()
    pause(OTHER)
    fill_history(Forwarded, DONE, OTHER, LAST_WEEKS)
    fill(Forwarded, WAITING, AN_HOUR_AGO)
    fill(Forwarded, SCHEDULED, AN_HOUR_AGO, state="'scheduled'", due_at="now() + interval '1 day'")
    fill(Noop, DEAD, AN_HOUR_AGO, state="'dead'", died_at="now()", attempts="8", last_error="'benchmark'")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) outbox_message, outbox_delivery, outbox_receipt")


def growth() -> Samples:
    """Drain, pick up and count as with empty tables, in full ones."""
    grow()
    return {
        **drain_beside("growth.noop", Noop),
        **drain_beside("growth.update", Update, touches=True),
        **{f"growth.{name}": value for name, value in pickup().items()},
        "growth.counts": max(milliseconds(look) for look in (counts, take_pulse)),
    }


def counts() -> None:
    """Ask for what `outbox stats` shows."""
    stats.oldest_due_seconds()
    stats.queue_depth()
    stats.breakers()
    stats.workers()
    stats.sagas_by_status()


def milliseconds(look: Callable[[], object]) -> float:
    """Return how long one look usually takes."""
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        look()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
