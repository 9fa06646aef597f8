"""Sagas with their steps, to read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from outbox.admin import case
from outbox.admin.base import TONES, ReadOnlyAdmin, address, ago, lasted, pill, short
from outbox.errors import SagaError
from outbox.models import Delivery, DeliveryState, Saga, SagaStep
from outbox.sagas.definition import Step
from outbox.sagas.engine import FINISHED, definition_of, definitions


class DefinitionFilter(SimpleListFilter):
    """Sagas of one definition."""

    title = "definition"
    parameter_name = "definition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return every definition of this release."""
        return [(name, name) for name in sorted({definition.name for definition in definitions()})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        return queryset.filter(definition=self.value()) if self.value() else queryset


@dataclass(frozen=True)
class Link:
    """A message that a step sent or received."""

    title: str
    href: str
    id: str


@dataclass(frozen=True)
class TimelineStep:
    """One step, begun or still to come."""

    position: int
    label: str
    tone: str
    word: str
    row: SagaStep | None
    links: list[Link]
    took: timedelta | None
    pivot: bool
    dead_letter: str
    """Address of its dead letter, if it has one."""


@admin.register(Saga)
class SagaAdmin(ReadOnlyAdmin):
    """Long-running transactions, newest first."""

    list_display = ("definition", "about", "standing", "step", "started", "age")
    list_filter = ("status", DefinitionFilter)
    sortable_by = ()
    ordering = ("-id",)
    id_fields = ("id", "key")
    search_help_text = "Saga id, or the id of what it is about (also as ord_…)"

    @admin.display(description="Key")
    def about(self, saga: Saga) -> str:
        """What it is about."""
        return short(saga.key)

    @admin.display(description="Status")
    def standing(self, saga: Saga) -> SafeString:
        """Where it stands."""
        return pill(saga.status, saga.get_status_display())

    @admin.display(description="Step")
    def step(self, saga: Saga) -> str:
        """The step it is at."""
        return "" if saga.status in FINISHED else present_step(saga)

    @admin.display(description="Started")
    def started(self, saga: Saga) -> SafeString:
        """When it began."""
        return ago(saga.started_at)

    @admin.display(description="Age")
    def age(self, saga: Saga) -> SafeString:
        """How long it has taken, or took."""
        return lasted((saga.finished_at or timezone.now()) - saga.started_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one saga with its timeline."""
        saga = self.get_object(request, object_id)
        if saga is None or request.method != "GET" or not self.has_view_permission(request, saga):
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        steps = timeline(saga)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": saga,
            "title": str(saga),
            "media": self.media,
            "inline_admin_formsets": [],
            "tone": TONES[saga.status],
            "steps": steps,
            "finished": saga.status in FINISHED,
            "step": next((step.label for step in steps if step.position == saga.position), present_step(saga)),
            "dead_letters": [step for step in steps if step.dead_letter],
            "until": saga.finished_at or timezone.now(),
            "early": [(name, message_id) for name, _, _, message_id in saga.early],
            "data": case.pretty(saga.data),
        }
        return TemplateResponse(request, "admin/outbox/saga/case.html", context)


def present_step(saga: Saga) -> str:
    """Return the words of the step that the saga is at."""
    try:
        return definition_of(saga).steps[saga.position].label
    except (SagaError, IndexError):
        return f"step {saga.position + 1}"


def timeline(saga: Saga) -> list[TimelineStep]:
    """Return every step of the definition: those that have begun with their facts, the others as still to come."""
    rows = {row.position: row for row in saga.steps.all()}
    dead = _dead_letters([id_ for row in rows.values() for id_ in (row.command_id, row.compensation_id) if id_])
    try:
        declared: dict[int, Step] = dict(enumerate(definition_of(saga).steps))
    except SagaError:
        declared = {}
    places = sorted(declared.keys() | rows.keys())
    return [_step(saga, place, declared.get(place), rows.get(place), dead) for place in places]


def _step(saga: Saga, place: int, declared: Step | None, row: SagaStep | None, dead: dict[UUID, int]) -> TimelineStep:
    status = row.status if row else ("skipped" if saga.status in FINISHED else "pending")
    ids = [id_ for id_ in (row.command_id, row.compensation_id) if id_] if row else []
    letters = [address("deadletter", dead[id_]) for id_ in ids if id_ in dead]
    return TimelineStep(
        position=place,
        label=declared.label if declared else row.name if row else "",
        tone=TONES[status],
        word=row.get_status_display() if row else ("Not needed" if saga.status in FINISHED else "To come"),
        row=row,
        links=_links(row) if row else [],
        took=_took(row) if row else None,
        pivot=bool(declared and declared.pivot),
        dead_letter=letters[0] if letters else "",
    )


def _links(row: SagaStep) -> list[Link]:
    ids = (("Command", row.command_id), ("Reply", row.reply_id), ("Compensation", row.compensation_id))
    return [Link(title, address("message", id_), str(id_)) for title, id_ in ids if id_]


def _took(row: SagaStep) -> timedelta | None:
    end: datetime | None = row.finished_at
    return end - row.started_at if end else None


def _dead_letters(message_ids: list[UUID]) -> dict[UUID, int]:
    rows = Delivery.objects.filter(message_id__in=message_ids, state=DeliveryState.DEAD)
    return dict(rows.values_list("message_id", "id"))
