"""Who works, and who is paused or throttled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from outbox import throttles
from outbox.admin import forms
from outbox.admin.base import ReadOnlyAdmin, address, ago, pill
from outbox.consumers import all_consumers, find
from outbox.context import scope
from outbox.errors import IllegalOperation
from outbox.models import AuditEntry, ConsumerControl, Worker
from outbox.publishing import unit_of_work

PERMISSION = "outbox.operate_breaker"
"""Who may throttle a destination may throttle those that call it, and other consumers."""
MAY_NOT = "Your account may look but not change. Ask a colleague who may set limits."
HISTORY_SHOWN = 50


@dataclass(frozen=True)
class Verb:
    """What an operator may do to a consumer, and what they are told."""

    name: str
    title: str
    will: str
    do: Callable[[str, str, QueryDict], None]

    @property
    def url_name(self) -> str:
        """The name of its address."""
        return f"admin:outbox_consumercontrol_{self.name}"


def _throttle(name: str, reason: str, form: QueryDict) -> None:
    throttles.throttle_consumer(name, forms.throttle(form), reason)


def _lift(name: str, reason: str, form: QueryDict) -> None:
    throttles.lift_consumer(name, reason)


VERBS = (
    Verb(
        "throttle",
        "Set limits",
        "These hold over all workers instead of what is declared, for a time or until they are lifted.",
        _throttle,
    ),
    Verb("lift", "Lift the limits", "What is declared holds again.", _lift),
)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Worker processes that have signed in."""

    list_display = ("host", "pid", "consumer", "in_hand", "release", "started", "seen")
    ordering = ("started_at",)

    @admin.display(description="In hand")
    def in_hand(self, row: Worker) -> int:
        """How many deliveries it works on right now."""
        return len(row.deliveries)

    @admin.display(description="Started")
    def started(self, row: Worker) -> SafeString:
        """When it signed in."""
        return ago(row.started_at)

    @admin.display(description="Last seen")
    def seen(self, row: Worker) -> SafeString:
        """When it last said that it lives."""
        return ago(row.seen_at)


@admin.register(ConsumerControl)
class ConsumerControlAdmin(ReadOnlyAdmin):
    """What was paused or throttled, by whom and why; each consumer has a page where its limits are set and lifted.

    `manage.py outbox pause` and `resume` stop it and let it go on.
    """

    list_display = ("consumer", "standing", "reason", "actor", "changed", "limits", "limit_reason")
    ordering = ("-paused", "consumer")
    list_before_template = "admin/outbox/consumercontrol/consumers.html"

    @admin.display(description="State")
    def standing(self, row: ConsumerControl) -> SafeString:
        """Whether it works."""
        return pill("paused") if row.paused else pill("running", "Works")

    @admin.display(description="Since")
    def changed(self, row: ConsumerControl) -> SafeString:
        """When that was decided."""
        return ago(row.changed_at)

    @admin.display(description="Limits")
    def limits(self, row: ConsumerControl) -> str:
        """What operators allow it."""
        return limits_in_words(row)

    def get_urls(self) -> list[URLPattern]:
        """Add the verbs as resources of their own."""
        verbs = [
            path(
                f"<str:consumer>/{verb.name}/",
                self.admin_site.admin_view(self._view_of(verb)),
                name=f"outbox_consumercontrol_{verb.name}",
            )
            for verb in VERBS
        ]
        return [*verbs, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List those that somebody decided about, below the names of all."""
        consumers = [(entry.name, address("consumercontrol", entry.name)) for entry in all_consumers()]
        context = {"consumers": consumers, **(extra_context or {})}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one consumer: its limits, what may be done, and what was decided; also one that has no row yet."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        name = unquote(object_id)
        row = ConsumerControl.objects.filter(consumer=name).first()
        entry = find(name)
        if entry is None and row is None:
            raise Http404(f"No consumer is called {name!r}.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row or ConsumerControl(consumer=name),
            "title": name,
            "media": self.media,
            "inline_admin_formsets": [],
            "declared": entry.concurrency if entry else None,
            "limits": limits_in_words(row) if row else "",
            "decisions": AuditEntry.objects.filter(subject__in=[f"consumer:{name}"])[:HISTORY_SHOWN],
            "may": request.user.has_perm(PERMISSION),
            "may_not": MAY_NOT,
            "verbs": [(verb, reverse(verb.url_name, args=[name])) for verb in VERBS],
        }
        return TemplateResponse(request, "admin/outbox/consumercontrol/case.html", context)

    def _view_of(self, verb: Verb) -> Callable[..., HttpResponse]:
        """Return the view of a verb: a POST with a reason, nothing else."""

        def view(request: HttpRequest, consumer: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not request.user.has_perm(PERMISSION):
                raise PermissionDenied(MAY_NOT)
            if find(consumer) is None:
                raise Http404(f"No consumer is called {consumer!r}.")
            try:
                with scope(actor=f"staff:{request.user.get_username()}"), unit_of_work():
                    verb.do(consumer, request.POST.get("reason", ""), request.POST)
            except IllegalOperation as error:
                messages.error(request, f"Nothing was changed. {error}")
            else:
                messages.success(request, f"Done: {verb.title.lower()}.")
            return redirect(address("consumercontrol", consumer))

        return view


def limits_in_words(row: ConsumerControl) -> str:
    """Return the limits that operators set for a consumer, also those whose time is over."""
    at_once = f"{row.limit_concurrency} at once" if row.limit_concurrency else ""
    rate = f"{row.limit_per_second:g} a second" if row.limit_per_second else ""
    return ", ".join(part for part in (at_once, rate) if part)
