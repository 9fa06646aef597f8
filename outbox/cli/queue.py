"""Looking: `stats`, `list`, `show`."""

from uuid import UUID

from django.core.management.base import CommandError

from outbox import control, queue_views, stats
from outbox.archive import what_became_of
from outbox.cli.terminal import Options, Terminal, Verbs, as_json, table
from outbox.models import DeliveryState


def declare(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    verbs.add("stats", "the queue per consumer, breakers, workers, sagas", _stats)
    listing = verbs.add("list", "unfinished deliveries, oldest first", _list)
    listing.add_argument("--state", choices=DeliveryState.values)
    listing.add_argument("--consumer")
    listing.add_argument("--limit", type=int, default=50)
    show = verbs.add("show", "one message: where it stands, its attempts", _show)
    show.add_argument("message_id", type=UUID)


def _stats(_options: Options, terminal: Terminal) -> None:
    depths = stats.queue_depth()
    seen = stats.breakers(depths)
    counted_ago = max((queue.counted_seconds_ago for queue in depths), default=0.0)
    found = {
        "oldest_due_seconds": round(stats.oldest_due_seconds(), 3),
        "queue": depths,
        "over_bound": [depth.consumer for depth in depths if depth.over_bound],
        "paused": sorted(control.paused()),
        "breakers": seen,
        "workers": stats.workers(),
        "sagas": stats.sagas_by_status(),
    }
    lines = [f"oldest due: {found['oldest_due_seconds']} s", f"paused: {', '.join(control.paused()) or 'nobody'}"]
    lines += [f"counted {counted_ago:.0f} s ago, as the queue is long"] if counted_ago else []
    depth = [(q.consumer, f"{q.ready}{' (over its bound)' if q.over_bound else ''}", *_rest(q)) for q in depths]
    lines += table(("consumer", "ready", "scheduled", "held", "in a call", "parked", "dead"), depth)
    breakers = [
        (b.destination, b.state, b.waiting, b.in_flight, b.concurrency or "", b.per_second or "", b.throttle_reason)
        for b in seen
    ]
    lines += table(("destination", "breaker", "waiting", "in flight", "at most", "per second", "throttled"), breakers)
    lines += [f"workers: {len(stats.workers())}", f"sagas: {stats.sagas_by_status() or 'none under way'}"]
    terminal.show(found, lines)


def _rest(depth: stats.QueueDepth) -> tuple[int, ...]:
    return depth.scheduled, depth.held, depth.leased, depth.parked, depth.dead


def _list(options: Options, terminal: Terminal) -> None:
    found = queue_views.deliveries(options["state"], options["consumer"], options["limit"])
    rows = [(d.id, d.consumer, d.state, d.attempts, d.message_id, _why(d)) for d in found]
    head = ("id", "consumer", "state", "attempts", "message", "why")
    terminal.show(found, table(head, rows) if rows else ["Nothing there."])


def _why(delivery: queue_views.DeliveryView) -> str:
    """Say what keeps a delivery, and how many it keeps."""
    if delivery.blocked_behind is not None:
        return f"blocked behind {delivery.blocked_behind} ({delivery.head_state})"
    holds = f"holds back {delivery.holds_back}; " if delivery.holds_back else ""
    return f"{holds}{delivery.error[:70]}"


def _show(options: Options, terminal: Terminal) -> None:
    found = queue_views.message(options["message_id"])
    if found is None:
        raise CommandError(what_became_of(options["message_id"]))
    terminal.show(found, [as_json(found)])
