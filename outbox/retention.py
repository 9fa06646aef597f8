"""What is kept, for how long, and what goes: whole months of messages and receipts, other rows in small portions.

A month of messages goes when it is older than MESSAGES_KEPT_DAYS and nothing unfinished needs it: no delivery, no dead
letter, no saga whose conversation reaches back into it. A month of receipts goes when it is older than
RECEIPTS_KEPT_DAYS and its messages are gone: while a message can be delivered again, what was done of it is known.
Transitions, sagas and the audit log are kept with what they tell of: docs/decisions/0012.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from structlog import get_logger

from outbox import partitions
from outbox.conf import conf
from outbox.partitions import MESSAGES, RECEIPTS, Month
from outbox.publishing import unit_of_work

PORTION = 2_000
"""Rows deleted in one transaction."""
FIGURES_KEPT_DAYS = 14

_OLD = "SELECT %s <= now() - make_interval(days => %s)"
_WAITING_SAGAS = """
SELECT count(DISTINCT s.id) FROM outbox_saga s JOIN {name} m ON m.correlation_id = s.correlation_id
WHERE s.status NOT IN ('completed', 'compensated')
"""

log = get_logger("outbox.retention")


@dataclass(frozen=True, slots=True)
class OldMonth:
    """A month that is older than it must be kept; `held` says why it stays all the same, else it is empty."""

    month: Month
    held: str


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows that go one by one: those of `table` (called `r`) whose `time` is more than `days` ago, `unless` …"""

    name: str
    table: str
    time: str
    days: Callable[[], int]
    unless: str = "false"

    @property
    def _which(self) -> str:
        return f"FROM {self.table} r WHERE r.{self.time} < now() - make_interval(days => %s) AND NOT ({self.unless})"

    def count(self) -> int:
        """Return how many would go now."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {self._which}", (self.days(),))
            return int(cursor.fetchone()[0])

    def delete_some(self) -> int:
        """Delete up to PORTION of them; return how many it was."""
        chosen = f"SELECT r.ctid {self._which} LIMIT {PORTION} FOR UPDATE OF r SKIP LOCKED"
        with unit_of_work(), connection.cursor() as cursor:
            # Nobody updates a row of these that is old, so that what is locked is still there to be deleted.
            cursor.execute(f"DELETE FROM {self.table} WHERE ctid = ANY(ARRAY({chosen}))", (self.days(),))  # noqa: S608 - constants
            return int(cursor.rowcount)


OLD_ROWS = (
    OldRows("idempotency keys", "outbox_idempotencyrecord", "expires_at", lambda: 0),
    OldRows("figures", "outbox_rollup", "minute", lambda: FIGURES_KEPT_DAYS),
    OldRows(
        "attempts",
        "outbox_attempt",
        "at",
        lambda: conf.ATTEMPTS_KEPT_DAYS,
        # They explain what still waits, above all dead letters.
        unless="EXISTS (SELECT FROM outbox_delivery d WHERE d.message_id = r.message_id AND d.consumer = r.consumer)",
    ),
    OldRows("former receipts", "outbox_formerreceipt", "replayed_at", lambda: conf.RECEIPTS_KEPT_DAYS),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What retention found or did; `dropped` and `deleted` stay empty in a look ahead."""

    months: list[OldMonth]
    """Those over their time; `held` says why one stays or stayed."""
    rows: dict[str, int]
    """How many rows of each kind are over their time, or were deleted."""
    more: bool = False
    """The time was over before everything was done."""


def look_ahead() -> Report:
    """Return what `prune` would do now, and what keeps the rest."""
    return Report(old_months(), {rows.name: rows.count() for rows in OLD_ROWS})


def prune(seconds: float, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Drop and delete what is over its time, for about so many seconds; `tell` is told what comes next."""
    end = time.monotonic() + seconds
    deleted = {rows.name: 0 for rows in OLD_ROWS}
    for rows in OLD_ROWS:
        tell(rows.name)
        while time.monotonic() < end and (count := rows.delete_some()):
            deleted[rows.name] += count
    found: list[OldMonth] = []
    for parent in (MESSAGES, RECEIPTS):  # receipts stay until their messages are gone
        for old in old_months(parent):
            if time.monotonic() > end:
                return Report(found, deleted, more=True)
            tell(old.month.name)
            found.append(old if old.held else _drop(old.month))
    return Report(found, deleted)


def _drop(month: Month) -> OldMonth:
    why_not = partitions.drop(month)
    log.info("month_kept" if why_not else "month_dropped", month=month.name, size=month.size_bytes, reason=why_not)
    return OldMonth(month, why_not)


def old_months(*parents: str) -> list[OldMonth]:
    """Return the months over their time, messages first, the oldest first, each with what still needs it."""
    kept = {MESSAGES: conf.MESSAGES_KEPT_DAYS, RECEIPTS: conf.RECEIPTS_KEPT_DAYS}
    told = {month.begins for month in partitions.months(MESSAGES)}
    found = []
    for parent in parents or (MESSAGES, RECEIPTS):
        for month in partitions.months(parent):
            if not _is_old(month, kept[parent]):
                break
            needed = _needs(month) if parent == MESSAGES else _messages_left(month, told)
            found.append(OldMonth(month, needed))
    return found


def _is_old(month: Month, days: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_OLD, (month.ends, days))
        return bool(cursor.fetchone()[0])


def _messages_left(month: Month, told: set[datetime]) -> str:
    return "its messages are still there" if month.begins in told else ""


def _needs(month: Month) -> str:
    """Say what that is unfinished needs a month of messages; empty when nothing does."""
    if needed := partitions.unfinished(month):
        return str(needed)
    with connection.cursor() as cursor:
        cursor.execute(_WAITING_SAGAS.format(name=month.name))
        (sagas,) = cursor.fetchone()
    return f"the history of {sagas:,} unfinished saga{'' if sagas == 1 else 's'}" if sagas else ""
