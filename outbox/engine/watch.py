"""What a worker sees when it looks around: one statement that tells everything there may be to do besides its work.

Rings say what is ready; a look finds what a lost ring left, and what nobody rings for: timers, leases that ran out,
workers that died, sagas whose answer is late. Each finding has its own statement, sent only when there is one.
"""

import json
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from outbox import control
from outbox.engine.reaper import DEAD_WORKERS

_LOOK = f"""
SELECT
    ARRAY(SELECT name FROM unnest(%(consumers)s::text[]) AS name
          WHERE EXISTS (SELECT 1 FROM outbox_delivery WHERE consumer = name AND state = 'ready')),
    (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM outbox_delivery WHERE state = 'scheduled'),
    EXISTS (SELECT 1 FROM outbox_delivery WHERE state = 'leased' AND lease_until < now())
        OR EXISTS (SELECT 1 FROM outbox_delivery WHERE deliver_by <= now() AND NOT (state IN ('leased', 'dead')))
        OR EXISTS ({DEAD_WORKERS}),
    EXISTS (SELECT 1 FROM outbox_saga WHERE status IN ('running', 'compensating') AND deadline_at < now()),
    EXISTS (SELECT 1 FROM outbox_delivery WHERE state = 'isolated'),
    EXISTS (SELECT 1 FROM outbox_delivery WHERE state = 'parked'),
    (SELECT json_agg(row_to_json(decided))
     FROM ({control.DECIDED}) decided (consumer, paused, at_once, per_second))::text,
    (SELECT count(*) FROM outbox_worker WHERE id < %(worker)s)
"""  # noqa: S608 - a constant of ours


class Sight(NamedTuple):
    """What there is to do."""

    ready: list[str]
    """Consumers with something ready."""
    due_in: float | None
    """Seconds until the next timer, not above 0 when it is due; None without timers."""
    overdue: bool
    """A lease or a deadline ran out, or a worker is gone."""
    late_sagas: bool
    isolated: bool
    parked: bool
    decided: list[list[Any]]
    """What operators decided about consumers: the rows of control.DECIDED."""
    rank: int
    """How many workers signed in before this one."""


def look(consumers: list[str], worker: UUID) -> Sight:
    """Look around for what `consumers` may do, as the worker of that id."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"consumers": consumers, "worker": worker})
        ready, due_in, overdue, late_sagas, isolated, parked, decided, rank = cursor.fetchone()
    rows = [list(row.values()) for row in json.loads(decided or "[]")]
    return Sight(ready, due_in, overdue, late_sagas, isolated, parked, rows, rank)
