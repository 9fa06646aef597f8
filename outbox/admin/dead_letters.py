"""Dead letters: understand what happened, then retry or discard, one or many; each verb by permission and audited."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from outbox import operations
from outbox.admin import case
from outbox.admin.base import ConsumerFilter, ReadOnlyAdmin, address, ago, parse_id, short
from outbox.admin.subjects import subject_of
from outbox.context import scope
from outbox.errors import IllegalOperation
from outbox.models import DeadLetter, DeliveryState, Message

BULK_LIMIT = 500
"""Dead letters that one request may work on; more is the command line's work."""
GROUPS_SHOWN = 12
LIST = "admin:outbox_deadletter_changelist"
MAY_NOT = "Your account may look but not change. Ask a colleague who may retry and discard."


@dataclass(frozen=True)
class Verb:
    """What an operator may do to a dead letter, and what they are told."""

    name: str
    title: str
    do: operations.Verb
    will: str
    did: str
    permission: str
    """The permission that guards it."""

    @property
    def url_name(self) -> str:
        """The name of its address."""
        return f"admin:outbox_deadletter_{self.name}"


RETRY = Verb(
    "retry",
    "Retry",
    operations.retry_dead_letter,
    "Back into the queue for a whole new round of attempts. What was tried before stays on record.",
    "back in the queue",
    "outbox.retry_deadletter",
)
DISCARD = Verb(
    "discard",
    "Discard",
    operations.discard_dead_letter,
    "Given up for good and never done. A saga that waits for it goes on waiting for a person. There is no undo.",
    "discarded",
    "outbox.discard_deadletter",
)
SKIP = Verb(
    "skip",
    "Skip",
    operations.skip_delivery,
    "Passed over and never done, so that what it holds back goes on in order. There is no undo.",
    "skipped",
    DISCARD.permission,
)
"""For the head of an ordering key. Who may give a message up for good may pass it over."""


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """What was given up, the latest first."""

    list_display = ("consumer", "message_name", "about", "error", "attempts", "died")
    list_display_links = ("consumer", "message_name")
    list_filter = (ConsumerFilter,)
    list_before_template = "admin/outbox/deadletter/groups.html"
    sortable_by = ()
    ordering = ("-died_at", "-id")
    id_fields = ("message_id",)
    search_help_text = "Message id, or the id of what its conversation is about (also as ord_…)"
    actions = ("retry_selected", "discard_selected")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what is dead now, with the name and the payload of its message."""
        message = Message.objects.filter(id=OuterRef("message_id"))
        name, payload = (Subquery(message.values(field)[:1]) for field in ("name", "payload"))
        rows: QuerySet[DeadLetter] = super().get_queryset(request)
        return rows.filter(state=DeliveryState.DEAD).annotate(message_name=name, message_payload=payload)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by the message, or by what its conversation is about."""
        wanted = parse_id(search_term)
        if wanted is None:
            return super().get_search_results(request, queryset, search_term)
        conversations = Message.objects.filter(aggregate_id=wanted).values("correlation_id")
        said = Message.objects.filter(correlation_id__in=conversations).values("id")
        return queryset.filter(Q(message_id=wanted) | Q(message_id__in=said)), False

    @admin.display(description="Message")
    def message_name(self, row: Any) -> str:
        """The contract's name."""
        return row.message_name or "(unknown)"

    @admin.display(description="About")
    def about(self, row: Any) -> SafeString | str:
        """What the message is about."""
        subject = subject_of(row.message_payload or {})
        if subject is None:
            return ""
        words = f"{subject.kind} {short(subject.name)}"
        return format_html('<a class="through" href="{}" title="{}">{}</a>', subject.href, subject.name, words)

    @admin.display(description="Error")
    def error(self, row: DeadLetter) -> str:
        """The error's first words."""
        return row.last_error[:140]

    @admin.display(description="Died")
    def died(self, row: DeadLetter) -> SafeString:
        """When it was given up."""
        return ago(row.died_at)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may retry."""
        return request.user.has_perm(RETRY.permission)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may discard."""
        return request.user.has_perm(DISCARD.permission)

    @admin.action(permissions=["retry"], description="Retry the selected…")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask for a reason, then retry each."""
        return self._bulk(request, queryset, RETRY)

    @admin.action(permissions=["discard"], description="Discard the selected…")
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask for a reason, then discard each."""
        return self._bulk(request, queryset, DISCARD)

    def get_urls(self) -> list[URLPattern]:
        """Add the verbs of one dead letter as resources of their own."""
        verbs = [
            path(
                f"<int:delivery_id>/{verb.name}/",
                self.admin_site.admin_view(self._one(verb)),
                name=f"outbox_deadletter_{verb.name}",
            )
            for verb in (RETRY, DISCARD, SKIP)
        ]
        return [*verbs, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List them, with their groups on top."""
        chosen = request.GET.get("fingerprint", "")
        groups = _groups(chosen)
        shown = {"groups": groups[:GROUPS_SHOWN], "more_groups": len(groups) > GROUPS_SHOWN, "chosen": chosen}
        context = {**shown, **(extra_context or {})}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one dead letter with everything needed to decide; or say what became of it."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return self._gone(request, object_id)
        message = Message.objects.filter(id=row.message_id).first()
        released = case.released_by(row)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": f"{row.consumer} gave up",
            "media": self.media,
            "inline_admin_formsets": [],
            "message": message,
            "tries": case.tries(row.message_id, row.consumer),
            "obstacles": [*case.held_back(row), *case.obstacles(row.consumer)],
            "verbs": [
                (verb, request.user.has_perm(verb.permission), reverse(verb.url_name, args=[row.id]))
                for verb in (RETRY, DISCARD, *([SKIP] if released else []))
            ],
            "released": released,
            "may_not": MAY_NOT,
            **(_told_by(message) if message else {}),
        }
        return TemplateResponse(request, "admin/outbox/deadletter/case.html", context)

    def _gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what became of it, where it can be looked at."""
        if not object_id.isdecimal():
            return redirect(LIST)
        messages.info(request, operations.what_became_of(int(object_id)))
        message_id = operations.message_of(int(object_id))
        return redirect(address("message", message_id) if message_id else LIST)

    def _one(self, verb: Verb) -> Callable[..., HttpResponse]:
        """Return the view of a verb on one dead letter: a POST with a reason, nothing else."""

        def view(request: HttpRequest, delivery_id: int) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            if not request.user.has_perm(verb.permission):
                raise PermissionDenied(MAY_NOT)
            return self._carry_out(request, verb, delivery_id)

        return view

    def _carry_out(self, request: HttpRequest, verb: Verb, delivery_id: int) -> HttpResponse:
        here = redirect(address("deadletter", delivery_id))
        try:
            (result,) = _do(request, verb, [delivery_id])
        except IllegalOperation as error:
            messages.error(request, str(error))
            return here
        if not result.done:
            messages.error(request, f"Nothing was changed. {result.detail}")
            return here
        message_id = operations.message_of(delivery_id)
        messages.success(request, f"Done: {verb.did}. This page shows what becomes of it.")
        return redirect(address("message", message_id) if message_id else LIST)

    def _bulk(self, request: HttpRequest, queryset: QuerySet[Any], verb: Verb) -> HttpResponse | None:
        """Show what was chosen and ask for a reason; then do it to exactly those, whatever died since."""
        ids = _snapshot(request, queryset)
        if len(ids) > BULK_LIMIT:
            command = f"`./tandem manage outbox {verb.name} --consumer NAME --reason …`"
            messages.error(request, f"More than {BULK_LIMIT} are chosen. For that many use {command}.")
            return None
        problem = ""
        if "confirmed" in request.POST:
            try:
                self._report(request, verb, _do(request, verb, ids))
            except IllegalOperation as error:
                problem = str(error)
            else:
                return redirect(LIST)
        return TemplateResponse(
            request, "admin/outbox/deadletter/confirm.html", self._chosen(request, verb, ids, problem)
        )

    def _chosen(self, request: HttpRequest, verb: Verb, ids: list[int], problem: str) -> dict[str, Any]:
        rows = DeadLetter.objects.filter(id__in=ids, state=DeliveryState.DEAD)
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{verb.title} {len(ids)} dead letter{'s' if len(ids) != 1 else ''}",
            "media": self.media,
            "inline_admin_formsets": [],
            "verb": verb,
            "ids": ids,
            "problem": problem,
            "groups": groups_of_one_cause(rows),
            "limit": BULK_LIMIT,
            "checkbox": ACTION_CHECKBOX_NAME,
        }

    def _report(self, request: HttpRequest, verb: Verb, results: list[operations.ItemResult]) -> None:
        refused = [result for result in results if not result.done]
        done = len(results) - len(refused)
        if done:
            messages.success(request, f"{done} {verb.did}.")
        for result in refused[:5]:
            messages.warning(request, result.detail)
        if len(refused) > 5:
            messages.warning(request, f"{len(refused) - 5} more could not be done either.")


def _do(request: HttpRequest, verb: Verb, ids: list[int]) -> list[operations.ItemResult]:
    """Carry a verb out in the person's name. Raises IllegalOperation for a blank reason."""
    with scope(actor=f"staff:{request.user.get_username()}"):
        return operations.each(verb.do, ids, request.POST.get("reason", ""))


def _snapshot(request: HttpRequest, queryset: QuerySet[Any]) -> list[int]:
    """Return the chosen ids: those that were confirmed, or those that the list's selection stands for now."""
    if "confirmed" in request.POST:
        return [int(text) for text in request.POST.getlist(ACTION_CHECKBOX_NAME) if text.isdecimal()]
    return list(queryset.order_by("id").values_list("id", flat=True)[: BULK_LIMIT + 1])


def _told_by(message: Message) -> dict[str, Any]:
    """Return what the message itself tells."""
    return {
        "contract": case.contract_facts(message),
        "payload": case.pretty(message.payload),
        "headers": case.pretty(message.headers),
        "place": case.saga_place(message),
        "subject": subject_of(message.payload),
        "conversation": case.conversation(message),
    }


def _groups(chosen: str) -> list[dict[str, Any]]:
    """Return the largest groups of one cause, for the top of the list; only the chosen one when there is one."""
    rows = DeadLetter.objects.filter(state=DeliveryState.DEAD)
    return groups_of_one_cause(rows.filter(fingerprint=chosen) if chosen else rows)


def groups_of_one_cause(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Return the largest groups of one cause among `rows`, each with the address of its list; one more than shown."""
    summed = rows.values("fingerprint", "consumer").annotate(
        count=Count("id"), error=Max("last_error"), first=Min("died_at"), last=Max("died_at")
    )
    groups = [dict(group) for group in summed.order_by("-count", "-last")[: GROUPS_SHOWN + 1]]
    query = reverse(LIST)
    return [{**group, "href": f"{query}?fingerprint={group['fingerprint']}"} for group in groups]
