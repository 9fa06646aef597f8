"""What staff should know before anything else: outages, late queues, work that waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from config.pulse_health import holder_in_words, span
from orders.console_links import console_list
from orders.staff_words import destination_of
from outbox import stats
from outbox.queue_health import QueueHealth

LATE = 30.0
"""Seconds that a message may be due before its queue is called late."""
WORKER_SILENCE = 15.0
"""Seconds without news after which a worker counts as lost."""
STUCK = ("forward_stuck", "compensation_stuck")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that staff should know before anything else."""

    key: str
    tone: str
    title: str
    text: str
    since: datetime | None = None
    href: str = ""
    link: str = ""


def notices_of(
    breakers: Sequence[stats.BreakerView],
    workers: Sequence[stats.WorkerView],
    depths: Sequence[stats.QueueDepth],
    *,
    dead: int,
    stuck: int,
    health: QueueHealth,
) -> list[Notice]:
    """Return what is wrong, the worst first; an empty list when all is well."""
    notices = [_outage(view) for view in breakers if view.state != "closed"]
    if not any(view.seen_seconds <= WORKER_SILENCE for view in workers):
        waiting = sum(depth.ready for depth in depths)
        text = f"Orders are accepted as usual; {waiting:,} messages wait until a worker starts."
        notices.append(Notice("workers", "failed", "No worker is running.", text))
    elif late := [depth for depth in depths if depth.oldest_seconds > LATE and depth.ready]:
        text = "They are worked off in order; more workers would shorten the wait."
        notices.append(Notice("late", "attention", f"{len(late)} queues are late.", text))
    notices += _backlogs([depth.consumer for depth in depths if depth.over_bound])
    if dead:
        title = f"{dead:,} message{' was' if dead == 1 else 's were'} given up."
        text = "Read the cause, mend it, then retry or discard."
        notices.append(
            Notice("dead", "attention", title, text, None, console_list("deadletter"), "Open the dead letters")
        )
    if parked := sum(depth.parked for depth in depths):
        title = f"{parked:,} message{' waits' if parked == 1 else 's wait'} for another release."
        text = "No running worker knows their contract or their consumer; they are done as soon as one does."
        href = f"{console_list('delivery')}?state__exact=parked"
        notices.append(Notice("parked", "attention", title, text, None, href, "Open the deliveries"))
    if stuck:
        title = f"{stuck:,} saga{' is' if stuck == 1 else 's are'} stuck."
        href = f"{console_list('saga')}?status__in={','.join(STUCK)}"
        notices.append(Notice("stuck", "attention", title, "An operator must decide.", None, href, "Open the sagas"))
    return [*notices, *_housekeeping(health)]


def _backlogs(over: Sequence[str]) -> list[Notice]:
    if not over:
        return []
    title = "A backlog is over its bound." if len(over) == 1 else f"{len(over)} backlogs are over their bounds."
    text = f"Replays and retries in bulk wait; orders are accepted as usual. It concerns {', '.join(over)}."
    return [Notice("backlog", "attention", title, text)]


def _housekeeping(health: QueueHealth) -> list[Notice]:
    found = []
    if health.held_back and health.holder:
        title = f"A transaction has been open for {span(health.holder.seconds)}."
        text = f"It holds back cleaning, and the queue grows slower: {holder_in_words(health)}."
        found.append(Notice("cleaning", "attention", title, text))
    if not health.months_ahead:
        text = "Messages are taken as usual, but cannot be dropped by month later. Workers make the months ahead."
        found.append(Notice("months", "attention", "No partition is ready for next month.", text))
    return found


def _outage(view: stats.BreakerView) -> Notice:
    waiting = f"{view.waiting:,} message{'s wait' if view.waiting != 1 else ' waits'}"
    text = f"Orders are still accepted. {waiting} and will go on when it is back; it is tried every few seconds."
    return Notice(
        f"breaker-{view.destination}",
        "failed",
        f"{destination_of(view.destination)} does not answer.",
        text,
        view.changed_at,
    )
