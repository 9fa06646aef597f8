"""Following: the messages that come, each once, late commits included.

Ids and times do not tell what is new: a message gets both before its transaction commits, and one that commits late
would be behind any cursor. Two snapshots do. What the former could not see and the present one can was committed in
between, whatever its id; nothing is skipped, nothing comes twice, and an open transaction delays its own messages only.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

SAID_BEFORE = timedelta(seconds=60)
"""How long before its transaction writes anything a message may have got its id, differences of clocks included."""

_SNAPSHOT = """
SELECT snapshot::text, pg_snapshot_xmin(snapshot)::text::numeric, pg_current_xact_id()::text::numeric,
       clock_timestamp()
FROM pg_current_snapshot() AS snapshot
"""
_NEW = """
SELECT id, name, version, kind, aggregate, aggregate_id, actor, correlation_id, causation_id, created_at
FROM outbox_message
WHERE id >= %s AND pg_visible_in_snapshot(xid, %s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %s::pg_snapshot)
  AND (%s::text[] IS NULL OR name = ANY(%s::text[])) AND (%s::uuid IS NULL OR aggregate_id = %s::uuid)
ORDER BY xid, id
"""


@dataclass(frozen=True, slots=True)
class Said:
    """A message, without what it carries."""

    id: UUID
    name: str
    version: int
    kind: str
    aggregate: str
    aggregate_id: UUID
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Look:
    snapshot: str
    oldest: int
    """Transactions below it have ended."""
    own: int
    """This look's own transaction: those above it have begun to write since. (A snapshot's upper end does not tell: it
    is that of the transactions that have ended.)"""
    at: datetime


class Follower:
    """Somebody who follows the messages from now on, all of them or those of some names or about one aggregate."""

    def __init__(self, names: Collection[str] | None = None, aggregate_id: UUID | None = None) -> None:
        self._names = list(names) if names else None
        self._aggregate_id = aggregate_id
        self._looks = deque([_look()])
        """Down to the last one before everything that was open at the present one began to write."""

    def look(self) -> list[Said]:
        """Return what has been committed since the last look, in order of its transactions."""
        before, now = self._looks[-1], _look()
        while len(self._looks) > 1 and self._looks[1].own < before.oldest:
            self._looks.popleft()
        earliest = self._looks[0].at - SAID_BEFORE
        names, about = self._names, self._aggregate_id
        least = UUID(int=int(earliest.timestamp() * 1000) << 80)
        with connection.cursor() as cursor:
            cursor.execute(_NEW, (least, now.snapshot, before.snapshot, names, names, about, about))
            found = [Said(*row) for row in cursor.fetchall()]
        self._looks.append(now)
        return found


def _look() -> _Look:
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT)
        snapshot, oldest, own, at = cursor.fetchone()
        return _Look(snapshot, int(oldest), int(own), at)
