"""Messages, deliveries and attempts, to read."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from outbox.admin import case, contracts
from outbox.admin.base import ConsumerFilter, ReadOnlyAdmin, ago, linked, parse_id, pill, short
from outbox.admin.subjects import subject_of
from outbox.archive import what_became_of
from outbox.contracts import Kind, all_contracts
from outbox.models import Attempt, Delivery, DeliveryState, FormerReceipt, Message


class NameFilter(SimpleListFilter):
    """Messages of one contract; the choice comes from the code, not from the table."""

    title = "name"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return every contract of this release."""
        return [(contract.name, contract.name) for contract in all_contracts()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        return queryset.filter(name=self.value()) if self.value() else queryset


class KindFilter(SimpleListFilter):
    """Events or commands."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return both kinds."""
        return [(kind.value, kind.value.capitalize()) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class FailureFilter(KindFilter):
    """Attempts by how they failed."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the kinds of failure."""
        return [(kind, kind.capitalize()) for kind in ("transient", "unknown", "throttled", "permanent", "crash")]


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """What was said, newest first."""

    list_display = ("name", "kind", "about", "conversation", "actor", "said")
    list_filter = (KindFilter, NameFilter)
    sortable_by = ()
    ordering = ("-id",)
    id_fields = ("id", "correlation_id", "aggregate_id")
    search_help_text = "Message id, correlation id, or the id of what it is about (also as ord_…)"

    def get_urls(self) -> list[Any]:
        """Put the catalogue of contracts beside the messages."""
        return [*contracts.urls(self.admin_site), *super().get_urls()]

    @admin.display(description="About")
    def about(self, row: Message) -> str:
        """The aggregate."""
        return f"{row.aggregate} {short(row.aggregate_id)}"

    @admin.display(description="Conversation")
    def conversation(self, row: Message) -> str:
        """What it belongs to."""
        return short(row.correlation_id)

    @admin.display(description="Said")
    def said(self, row: Message) -> SafeString:
        """When."""
        return ago(row.created_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one message with everything known of it."""
        message = self.get_object(request, object_id)
        if message is None and (gone := parse_id(object_id)) and self.has_view_permission(request):
            return self._gone(request, gone)
        if message is None or request.method != "GET" or not self.has_view_permission(request, message):
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": message,
            "title": message.name,
            "media": self.media,
            "inline_admin_formsets": [],
            "contract": case.contract_facts(message),
            "payload": case.pretty(message.payload),
            "headers": case.pretty(message.headers),
            "standings": case.standings([message.id])[message.id],
            "former": FormerReceipt.objects.filter(message_id=message.id),
            "tries": case.tries(message.id),
            "place": case.saga_place(message),
            "subject": subject_of(message.payload),
            "conversation": case.conversation(message),
        }
        return TemplateResponse(request, "admin/outbox/message/case.html", context)

    def _gone(self, request: HttpRequest, message_id: UUID) -> HttpResponse:
        """Say what became of a message that is not there; its failed attempts may be."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "No such message",
            "media": self.media,
            "message_id": message_id,
            "words": what_became_of(message_id),
            "tries": case.tries(message_id),
        }
        return TemplateResponse(request, "admin/outbox/message/gone.html", context, status=404)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """The live queue: what is not finished."""

    list_display = ("id", "consumer", "standing", "attempts", "message", "waits", "order", "since")
    list_filter = ("state", ConsumerFilter)
    sortable_by = ()
    ordering = ("id",)
    id_fields = ("message_id",)
    search_help_text = "Message id"
    readonly_fields = ("message", "standing", "order")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the queue, with the head of each one's ordering key."""
        same_key = Delivery.objects.filter(consumer=OuterRef("consumer"), ordering_key=OuterRef("ordering_key"))
        head = same_key.order_by("place")
        annotations = {"head": Subquery(head.values("id")[:1]), "head_state": Subquery(head.values("state")[:1])}
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.annotate(**annotations)

    @admin.display(description="In order")
    def order(self, row: Any) -> SafeString | str:
        """What it is blocked behind, when another of its ordering key comes first."""
        if row.ordering_key is None:
            return ""
        if row.state != DeliveryState.HELD or row.head is None:
            return f"first of {row.ordering_key}"
        page = "deadletter" if row.head_state == DeliveryState.DEAD else "delivery"
        words = f"blocked behind {row.head} ({DeliveryState(row.head_state).label.lower()})"
        return linked(page, row.head, words)

    @admin.display(description="State")
    def standing(self, row: Delivery) -> SafeString:
        """Where it stands."""
        return pill(row.state, row.get_state_display())

    @admin.display(description="Message")
    def message(self, row: Delivery) -> SafeString:
        """The way to the message."""
        return linked("message", row.message_id, short(row.message_id))

    @admin.display(description="Next try")
    def waits(self, row: Delivery) -> SafeString:
        """When it is due, and what it waits for."""
        return ago(row.due_at)

    @admin.display(description="Since")
    def since(self, row: Delivery) -> SafeString:
        """How long it has been in this queue."""
        return ago(row.enqueued_at)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """What went wrong, newest first."""

    list_display = ("consumer", "number", "failure", "error_class", "first_line", "duration_ms", "message", "when")
    list_filter = (FailureFilter, ConsumerFilter)
    sortable_by = ()
    ordering = ("-id",)
    id_fields = ("message_id",)
    search_help_text = "Message id"
    readonly_fields = ("message",)

    @admin.display(description="Kind")
    def failure(self, row: Attempt) -> SafeString:
        """How it failed."""
        return pill(row.kind)

    @admin.display(description="Error")
    def first_line(self, row: Attempt) -> str:
        """The error's first words."""
        return row.error[:120]

    @admin.display(description="Message")
    def message(self, row: Attempt) -> SafeString:
        """The way to the message."""
        return linked("message", row.message_id, short(row.message_id))

    @admin.display(description="When")
    def when(self, row: Attempt) -> SafeString:
        """When it failed."""
        return ago(row.at)
