"""The console's first page: what needs a person, the worst first, each with the way to it.

Name `overview` as unfold's DASHBOARD_CALLBACK; `templates/admin/index.html` shows what it adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from outbox import stats
from outbox.admin.base import TONES, address
from outbox.admin.dead_letters import groups_of_one_cause
from outbox.admin.sagas import present_step
from outbox.admin.subjects import Subject, subject_of
from outbox.models import Breaker, BreakerState, ConsumerControl, DeadLetter, Delivery, DeliveryState, Saga, SagaStatus

STUCK = (SagaStatus.FORWARD_STUCK, SagaStatus.COMPENSATION_STUCK)
SAGAS_SHOWN = 8
SILENT_SECONDS = 15.0
"""A worker that has not been seen for so long is not counted on."""


@dataclass(frozen=True)
class StuckSaga:
    """A saga that waits for a person."""

    name: str
    step: str
    reason: str
    since: datetime
    href: str
    subject: Subject | None


@dataclass(frozen=True)
class Line:
    """A thing of which there are few, with its state in a word."""

    name: str
    note: str
    tone: str
    word: str
    since: datetime | None = None
    href: str = ""


@dataclass(frozen=True)
class Overview:
    """Everything on the page."""

    problems: Sequence[str]
    """What needs a person, counted, in words; empty when nothing does."""
    groups: Sequence[dict[str, Any]]
    stuck: Sequence[StuckSaga]
    more_stuck: bool
    parked: Sequence[Line]
    destinations: Sequence[Line]
    paused: Sequence[Line]
    workers: int
    """How many have been seen lately."""

    @property
    def at_work(self) -> str:
        """The workers in words."""
        return f"{self.workers} worker{_s(self.workers)} at work"


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of the admin's index, for those who may look at dead letters."""
    if request.user.has_perm("outbox.view_deadletter"):
        context["overview"] = take_overview()
    return context


def take_overview() -> Overview:
    """Read what the page shows, as it is now: the engine's small tables, and the live queue by its indexes."""
    dead = DeadLetter.objects.filter(state=DeliveryState.DEAD)
    stuck = Saga.objects.filter(status__in=STUCK)
    parked, destinations = _parked(), _destinations()
    workers = sum(worker.seen_seconds <= SILENT_SECONDS for worker in stats.workers())
    return Overview(
        problems=_problems(dead.count(), stuck.count(), len(parked), destinations, workers),
        groups=groups_of_one_cause(dead),
        stuck=[_stuck(saga) for saga in stuck.order_by("updated_at")[:SAGAS_SHOWN]],
        more_stuck=stuck.count() > SAGAS_SHOWN,
        parked=parked,
        destinations=destinations,
        paused=[_paused(row) for row in ConsumerControl.objects.filter(paused=True).order_by("consumer")],
        workers=workers,
    )


def _problems(dead: int, stuck: int, parked: int, destinations: Sequence[Line], workers: int) -> list[str]:
    silent = sum(line.tone == "failed" for line in destinations)
    counted = [
        (not workers, "no worker is running"),
        (dead, f"{dead:,} message{_s(dead)} given up"),
        (stuck, f"{stuck:,} saga{_s(stuck)} stuck"),
        (silent, f"{silent} outside system{_s(silent)} not answering"),
        (parked, f"messages of {parked} consumer{_s(parked)} that no release here can read"),
    ]
    return [words for applies, words in counted if applies]


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _stuck(saga: Saga) -> StuckSaga:
    return StuckSaga(
        name=saga.definition,
        step=present_step(saga),
        reason=saga.reason,
        since=saga.updated_at,
        href=address("saga", saga.id),
        subject=subject_of(saga.data),
    )


def _parked() -> list[Line]:
    rows = Delivery.objects.filter(state=DeliveryState.PARKED).values("consumer")
    found = rows.annotate(count=Count("id"), oldest=Min("enqueued_at")).order_by("consumer")
    href = f"{reverse('admin:outbox_delivery_changelist')}?state__exact=parked&consumer="
    return [
        Line(row["consumer"], "", "attention", f"{row['count']:,} parked", row["oldest"], href + row["consumer"])
        for row in found
    ]


def _destinations() -> list[Line]:
    troubled: QuerySet[Breaker] = Breaker.objects.filter(~Q(state=BreakerState.CLOSED) | Q(throttled_until__gt=Now()))
    return [_destination(breaker) for breaker in troubled.order_by("destination")]


def _destination(breaker: Breaker) -> Line:
    href = address("breaker", breaker.destination)
    if breaker.state == BreakerState.CLOSED:
        return Line(breaker.destination, "asked us to wait", "attention", "Slowed down", breaker.throttled_until, href)
    word = "Not answering" if breaker.state == BreakerState.OPEN else "Being tried"
    return Line(breaker.destination, breaker.reason, TONES[breaker.state], word, breaker.changed_at, href)


def _paused(row: ConsumerControl) -> Line:
    href = reverse("admin:outbox_consumercontrol_changelist")
    return Line(row.consumer, f"{row.actor}: {row.reason}", TONES["paused"], "Paused", row.changed_at, href)
