"""The queue's health in words, for the pulse page. Pure: what was read comes in."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.template.defaultfilters import filesizeformat

from outbox.queue_health import QueueHealth, Table
from outbox.templatetags.ui import rough

WORTH_TELLING_SECONDS = 60.0
"""A transaction that is open for less is nobody's business."""
FAR_BEHIND = 5
"""Times the dead rows at which a table should have been cleaned."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing about the queue's tables."""

    name: str
    note: str
    tone: str
    word: str


def lines_of(health: QueueHealth) -> Sequence[Line]:
    """Return the panel, line by line."""
    return [_cleaning(health), *_behind(health.tables), _queue(health.tables), _months(health), *_hidden(health)]


def span(seconds: float) -> str:
    """Return a span of at least two seconds in its largest unit."""
    return rough(max(seconds, 2.0)).removesuffix(" ago")


def holder_in_words(health: QueueHealth) -> str:
    """Say which session holds cleaning back."""
    holder = health.holder
    if holder is None:
        return ""
    if not holder.pid:
        return f"{holder.who}, a prepared transaction"
    return f"pid {holder.pid}, {holder.who}{', ' if holder.state else ''}{holder.state}"


def _cleaning(health: QueueHealth) -> Line:
    if health.holder and health.holder.seconds >= WORTH_TELLING_SECONDS:
        note = f"A transaction open for {span(health.holder.seconds)} holds back cleaning ({holder_in_words(health)})."
        tone, word = ("attention", "Held back") if health.held_back else ("progress", "Waits")
        return Line("Cleaning", note, tone, word)
    if health.slots:
        slot = health.slots[0]
        note = f"The replication slot {slot.name} holds back {slot.transactions:,} transactions."
        return Line("Cleaning", note, "waiting", "Waits")
    return Line("Cleaning", "Nothing holds back cleaning.", "done", "Free")


def _behind(tables: Sequence[Table]) -> list[Line]:
    late = [table for table in tables if table.threshold and table.dead > FAR_BEHIND * table.threshold]
    return [Line(table.name, f"{table.dead:,} dead rows; {_cleaned(table)}.", "attention", "Behind") for table in late]


def _queue(tables: Sequence[Table]) -> Line:
    queue = next((table for table in tables if table.name == "outbox_delivery"), None)
    if queue is None:
        return Line("Live queue", "Its statistics cannot be read.", "waiting", "Unknown")
    note = f"{queue.dead:,} dead rows; {_cleaned(queue)}; indexes take {filesizeformat(queue.index_bytes)}."
    return Line("Live queue", note, "done", filesizeformat(queue.table_bytes))


def _cleaned(table: Table) -> str:
    return "not cleaned yet" if table.autovacuum_seconds is None else f"cleaned {rough(table.autovacuum_seconds)}"


def _months(health: QueueHealth) -> Line:
    size = filesizeformat(health.messages_bytes + health.receipts_bytes)
    if not health.months_ahead or health.ready_until is None:
        return Line("History", f"{size}. No partition is ready for next month.", "attention", "Not ready")
    return Line("History", f"{size}. Partitions are ready until {health.ready_until:%-d %B %Y}.", "done", "Ready")


def _hidden(health: QueueHealth) -> list[Line]:
    if not health.hidden:
        return []
    note = f"{health.hidden:,} of other roles. Grant pg_read_all_stats to ours to see what they hold back."
    return [Line("Hidden sessions", note, "waiting", "Unknown")]
