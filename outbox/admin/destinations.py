"""Destinations: their breakers, limits and history; open, close, throttle and lift, by permission and audited."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from outbox import breakers, stats, throttles
from outbox.admin import forms
from outbox.admin.base import TONES, ReadOnlyAdmin, address, ago, pill
from outbox.context import scope
from outbox.errors import IllegalOperation
from outbox.models import AuditEntry, Breaker, BreakerChange
from outbox.publishing import unit_of_work

PERMISSION = "outbox.operate_breaker"
MAY_NOT = "Your account may look but not change. Ask a colleague who may open and close breakers."
HISTORY_SHOWN = 50


@dataclass(frozen=True)
class Verb:
    """What an operator may do to a destination, and what they are told."""

    name: str
    title: str
    will: str
    do: Callable[[str, str, QueryDict], None]

    @property
    def url_name(self) -> str:
        """The name of its address."""
        return f"admin:outbox_breaker_{self.name}"


def _open(name: str, reason: str, form: QueryDict) -> None:
    breakers.open_by_hand(name, reason, forms.lasting(form))


def _close(name: str, reason: str, form: QueryDict) -> None:
    breakers.close_by_hand(name, reason, forms.lasting(form))


def _throttle(name: str, reason: str, form: QueryDict) -> None:
    throttles.throttle_destination(name, forms.throttle(form), reason)


def _lift(name: str, reason: str, form: QueryDict) -> None:
    throttles.lift_destination(name, reason)


VERBS = (
    Verb(
        "open", "Open the breaker", "Nobody calls it: for a time, then a probe is sent; or until it is closed.", _open
    ),
    Verb(
        "close", "Close the breaker", "It is called again at once. For a time: no failure opens it meanwhile.", _close
    ),
    Verb(
        "throttle",
        "Set limits",
        "These hold over all workers instead of what is declared, for a time or until they are lifted.",
        _throttle,
    ),
    Verb("lift", "Lift the limits", "What is declared holds again.", _lift),
)


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    """One line per destination."""

    list_display = ("destination", "standing", "failures", "reason", "next_probe", "throttled", "limits", "changed")
    ordering = ("destination",)

    @admin.display(description="State")
    def standing(self, row: Breaker) -> SafeString:
        """Whether it is called."""
        return pill(row.state, row.get_state_display())

    @admin.display(description="Next probe")
    def next_probe(self, row: Breaker) -> SafeString:
        """When it is tried again."""
        return ago(row.open_until)

    @admin.display(description="Throttled until")
    def throttled(self, row: Breaker) -> SafeString:
        """Until when the destination wants no call."""
        return ago(row.throttled_until)

    @admin.display(description="Limits by hand")
    def limits(self, row: Breaker) -> str:
        """Why operators set other limits than the declared ones."""
        return row.limit_reason

    @admin.display(description="Since")
    def changed(self, row: Breaker) -> SafeString:
        """When the state changed."""
        return ago(row.changed_at)

    def get_urls(self) -> list[URLPattern]:
        """Add the verbs as resources of their own."""
        verbs = [
            path(
                f"<path:destination>/{verb.name}/",
                self.admin_site.admin_view(self._view_of(verb)),
                name=f"outbox_breaker_{verb.name}",
            )
            for verb in VERBS
        ]
        return [*verbs, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one destination: its state, its limits, what may be done, and its history."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return redirect("admin:outbox_breaker_changelist")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": row.destination,
            "media": self.media,
            "inline_admin_formsets": [],
            "tone": TONES[row.state],
            "view": next(view for view in stats.breakers() if view.destination == row.destination),
            "history": BreakerChange.objects.filter(destination=row.destination)[:HISTORY_SHOWN],
            "decisions": AuditEntry.objects.filter(Q(subject=f"destination:{row.destination}"))[:HISTORY_SHOWN],
            "may": request.user.has_perm(PERMISSION),
            "may_not": MAY_NOT,
            "verbs": [(verb, reverse(verb.url_name, args=[row.destination])) for verb in VERBS],
        }
        return TemplateResponse(request, "admin/outbox/breaker/case.html", context)

    def _view_of(self, verb: Verb) -> Callable[..., HttpResponse]:
        """Return the view of a verb: a POST with a reason, nothing else."""

        def view(request: HttpRequest, destination: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not request.user.has_perm(PERMISSION):
                raise PermissionDenied(MAY_NOT)
            try:
                with scope(actor=f"staff:{request.user.get_username()}"), unit_of_work():
                    verb.do(destination, request.POST.get("reason", ""), request.POST)
            except IllegalOperation as error:
                messages.error(request, f"Nothing was changed. {error}")
            else:
                messages.success(request, f"Done: {verb.title.lower()}.")
            return redirect(address("breaker", destination))

        return view
