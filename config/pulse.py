"""What the pulse page shows: from roll-ups and the engine's small tables; big tables are never counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone

from config.charts import Chart, Point, chart
from config.notices import LATE, STUCK, WORKER_SILENCE, Notice, notices_of
from config.pulse_health import Line, lines_of
from orders.models import Order
from orders.staff_selectors import held_consumers
from orders.staff_story import Held
from orders.staff_words import SAGA, plain_name
from outbox import queue_health, stats
from outbox.models import Delivery, Message, Rollup, Saga

HOUR = timedelta(hours=1)
OPEN_ORDERS = Q(status__in=("placed", "confirmed", "cancelling", "on_hold"))
MESSAGE_MEASURES = Q(measure__startswith="le_") | Q(measure__in=("failed", "dead"))
MONEY_MEASURES = Q(measure__startswith="authorised_") | Q(measure__startswith="captured_")


@dataclass(frozen=True, slots=True)
class Taken:
    """Money of today in one currency."""

    currency: str
    authorised: Decimal
    captured: Decimal


@dataclass(frozen=True, slots=True)
class Queue:
    """One consumer's queue; done and failed count the last hour. `oldest` is in seconds."""

    consumer: str
    label: str
    ready: int
    later: int
    oldest: float | None
    done: int
    failed: int
    tone: str
    word: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters that died of the same cause."""

    fingerprint: str
    consumer: str
    error: str
    count: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class State:
    """A thing of which there are few (a breaker, a worker, sagas in one state), in words."""

    name: str
    note: str
    tone: str
    word: str
    since: datetime | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """Everything on the page."""

    notices: Sequence[Notice]
    orders_today: int
    orders_hour: int
    in_progress: int
    oldest_open: datetime | None
    dead: int
    stuck: int
    attention: int
    """How many problems wait for a person: a saga that is stuck because of a dead letter is one problem with it."""
    money: Sequence[Taken]
    orders_chart: Chart
    latency_chart: Chart
    queues: Sequence[Queue]
    counted_ago: float
    """How many seconds ago the messages of `queues` were counted; 0 for just now."""
    causes: Sequence[Cause]
    breakers: Sequence[State]
    sagas: Sequence[State]
    workers: Sequence[State]
    health: Sequence[Line]

    @property
    def depth(self) -> int:
        """Messages that wait or are in work."""
        return sum(queue.ready + queue.later for queue in self.queues)


def take_pulse() -> Pulse:
    """Read the page's figures, as they are now."""
    now = timezone.now()
    per_minute = _orders_per_minute(now)
    hour = stats.minutes(60)
    depths = stats.queue_depth()
    breakers = stats.breakers(depths)
    workers = stats.workers()
    open_orders = Order.objects.filter(OPEN_ORDERS).aggregate(n=Count("id"), oldest=Min("placed_at"))
    stuck = Saga.objects.filter(status__in=STUCK).count()
    dead = sum(depth.dead for depth in depths)
    health = queue_health.look()
    return Pulse(
        notices=notices_of(breakers, workers, depths, dead=dead, stuck=stuck, health=health),
        orders_today=_orders_today(now),
        orders_hour=sum(per_minute.values()),
        in_progress=open_orders["n"],
        oldest_open=open_orders["oldest"],
        dead=dead,
        stuck=stuck,
        attention=dead + (_stuck_alone() if stuck else 0),
        money=_money_today(now),
        orders_chart=orders_chart(per_minute),
        latency_chart=latency_chart(hour),
        queues=_queues(depths),
        counted_ago=max((depth.counted_seconds_ago for depth in depths), default=0.0),
        causes=_causes() if dead else [],
        breakers=[_breaker(view) for view in breakers],
        sagas=_sagas(),
        workers=[_worker(view, now) for view in workers],
        health=lines_of(health),
    )


# Orders and money


def _orders_per_minute(now: datetime) -> dict[datetime, int]:
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=59)
    counted = dict(
        Rollup.objects.filter(consumer="orders", measure="placed", minute__gte=first).values_list("minute", "value")
    )
    return {minute: counted.get(minute, 0) for minute in (first + timedelta(minutes=n) for n in range(60))}


def _orders_today(now: datetime) -> int:
    placed = Rollup.objects.filter(consumer="orders", measure="placed", minute__gte=_midnight(now))
    return int(placed.aggregate(n=Sum("value", default=0))["n"])


def _money_today(now: datetime) -> list[Taken]:
    """Return what was held and taken today; roll-ups keep amounts in thousandths."""
    rows = (
        Rollup.objects.filter(MONEY_MEASURES, consumer="orders", minute__gte=_midnight(now))
        .order_by()
        .values_list("measure")
        .annotate(total=Sum("value"))
    )
    sums: dict[str, dict[str, Decimal]] = {}
    for measure, total in rows:
        what, currency = measure.split("_")
        of = sums.setdefault(currency, {"authorised": Decimal(0), "captured": Decimal(0)})
        of[what] = Decimal(total) / 1000
    taken = [Taken(currency, of["authorised"], of["captured"]) for currency, of in sums.items()]
    return sorted(taken, key=lambda sum_: (-sum_.authorised, sum_.currency))


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


# Charts


def orders_chart(per_minute: dict[datetime, int]) -> Chart:
    """Return the chart of orders placed in each minute."""
    points = [
        Point(minute, (float(count),), f"{minute:%H:%M}: {count} order{'' if count == 1 else 's'}")
        for minute, count in per_minute.items()
    ]
    total = sum(per_minute.values())
    rest = f"{total:,} orders in the last hour." if total else "No orders in the last hour."
    return chart("Orders per minute", "orders", ("Orders",), points, rest=rest, least=5)


def latency_chart(minutes: Sequence[stats.Minute]) -> Chart:
    """Return the chart of the time from a message's commit to its effect."""
    points = [_latency_point(minute) for minute in minutes]
    buckets: dict[float, int] = {}
    for minute in minutes:
        for bound, count in minute.buckets.items():
            buckets[bound] = buckets.get(bound, 0) + count
    half, most = stats.percentile_ms(buckets, 0.5), stats.percentile_ms(buckets, 0.95)
    rest = f"Half {_bound(half)}, 95 of 100 {_bound(most)}." if buckets else "No message in the last hour."
    return chart(
        "From commit to effect", "milliseconds", ("95 of 100 within", "half within"), points, rest=rest, least=20
    )


def _latency_point(minute: stats.Minute) -> Point:
    half, most = minute.percentile_ms(0.5), minute.percentile_ms(0.95)
    if half is None or most is None or not minute.done:
        return Point(minute.at, (None, None), f"{minute.at:%H:%M}: no message")
    words = f"{minute.at:%H:%M}: half {_bound(half)}, 95 of 100 {_bound(most)}, {minute.done} messages"
    return Point(minute.at, (_drawn(most), _drawn(half)), words)


def _drawn(bound: float) -> float:
    return min(bound, stats.LATENCY_BOUNDS_MS[-1])


def _bound(bound: float | None) -> str:
    if bound is None or bound > stats.LATENCY_BOUNDS_MS[-1]:
        return f"over {stats.LATENCY_BOUNDS_MS[-1] // 1000} s"
    return f"within {bound:g} ms" if bound < 1000 else f"within {bound / 1000:g} s"


# Queues, failures, the outside, sagas, workers


def _queues(depths: Sequence[stats.QueueDepth]) -> list[Queue]:
    done = _done_and_failed()
    waiting = {depth.consumer: depth for depth in depths}
    held = held_consumers(timezone.now())
    names = sorted({*done, *waiting})
    return [_queue(name, waiting.get(name), held.get(name), *done.get(name, (0, 0))) for name in names]


def _done_and_failed() -> dict[str, tuple[int, int]]:
    rows = (
        Rollup.objects.filter(MESSAGE_MEASURES, minute__gte=timezone.now() - HOUR)
        .order_by()
        .values_list("consumer")
        .annotate(
            done=Sum("value", filter=Q(measure__startswith="le_"), default=0),
            failed=Sum("value", filter=Q(measure="failed"), default=0),
        )
    )
    return {consumer: (int(done), int(failed)) for consumer, done, failed in rows}


def _queue(consumer: str, depth: stats.QueueDepth | None, held: Held | None, done: int, failed: int) -> Queue:
    if depth is None:
        return Queue(consumer, plain_name(consumer), 0, 0, None, done, failed, "done", "Flowing")
    late = depth.oldest_seconds > LATE
    tone, word = "done", "Flowing"
    if depth.dead:
        tone, word = "failed", f"{depth.dead} given up"
    elif depth.parked:
        tone, word = "attention", f"{depth.parked} parked"
    elif held:
        tone, word = "attention", f"Held: {held.destination}"
    elif late:
        tone, word = "attention", "Late"
    elif depth.scheduled or depth.leased or depth.ready:
        tone, word = "progress", "Working"
    oldest = depth.oldest_seconds or None
    later = depth.scheduled + depth.leased
    return Queue(consumer, plain_name(consumer), depth.ready, later, oldest, done, failed, tone, word)


def _causes() -> list[Cause]:
    groups = (
        Delivery.objects.filter(state="dead")
        .values("fingerprint", "consumer")
        .annotate(n=Count("id"), latest=Max("died_at"), error=Max("last_error"))
        .order_by("-latest")[:8]
    )
    return [Cause(g["fingerprint"], g["consumer"], g["error"], g["n"], g["latest"]) for g in groups]


def _stuck_alone() -> int:
    """Count the stuck sagas in whose conversation nothing was given up."""
    given_up = Message.objects.filter(id__in=Delivery.objects.filter(state="dead").values("message_id"))
    stuck = Saga.objects.filter(status__in=STUCK)
    return stuck.exclude(correlation_id__in=given_up.values("correlation_id")).count()


def _breaker(view: stats.BreakerView) -> State:
    if view.state == "closed" and view.throttled_until:
        return State(view.destination, _waits(view), "attention", "Slowed down", view.changed_at)
    tone, word = {"closed": ("done", "Answering"), "half_open": ("attention", "Being tried")}.get(
        view.state, ("failed", "Not answering")
    )
    return State(view.destination, _waits(view), tone, word, view.changed_at)


def _waits(view: stats.BreakerView) -> str:
    return f"{view.waiting:,} wait{'s' if view.waiting == 1 else ''}" if view.waiting else "nothing waits"


def _sagas() -> list[State]:
    rows = (
        Saga.objects.exclude(status__in=("completed", "compensated"))
        .values_list("definition", "status")
        .annotate(n=Count("id"))
        .order_by("definition", "status")
    )
    return [
        State(plain_name(definition), "", SAGA[status].tone, SAGA[status].word, count=count)
        for definition, status, count in rows
    ]


def _worker(view: stats.WorkerView, now: datetime) -> State:
    seen = now - timedelta(seconds=view.seen_seconds)
    name = f"{view.host} / {view.pid}"
    if view.seen_seconds > WORKER_SILENCE:
        return State(name, "no news; its work is taken over", "attention", "Silent", seen)
    if view.in_hand:
        return State(name, view.consumer, "progress", "Working", seen)
    return State(name, "waits for messages", "done", "Ready", seen)
