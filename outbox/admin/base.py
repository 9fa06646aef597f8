"""What the console's pages share: read-only, no counting of big tables, search by id, one vocabulary of states."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import SimpleListFilter
from django.db.models import Model, Q, QuerySet
from django.forms import CharField
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextInputWidget

from outbox.consumers import all_consumers

TONES = {
    "ready": "progress",
    "scheduled": "waiting",
    "held": "waiting",
    "leased": "progress",
    "isolated": "attention",
    "parked": "attention",
    "dead": "failed",
    "done": "done",
    "discarded": "waiting",
    "cancelled": "waiting",
    "expired": "attention",
    "begun": "progress",
    "paused": "attention",
    "closed": "done",
    "open": "failed",
    "half_open": "attention",
    "running": "progress",
    "completed": "done",
    "compensating": "progress",
    "compensated": "waiting",
    "suspended": "waiting",
    "forward_stuck": "attention",
    "compensation_stuck": "attention",
    "failed": "failed",
    "skipped": "waiting",
    "needs_attention": "attention",
    "pending": "waiting",
    "transient": "attention",
    "unknown": "attention",
    "throttled": "waiting",
    "permanent": "failed",
    "crash": "failed",
}
"""One colour per meaning: progress, waiting, done, attention, failed."""


def pill(state: str, word: str = "") -> SafeString:
    """Return a state as colour, shape and word together."""
    words = word or state.replace("_", " ").capitalize()
    return render_to_string("admin/outbox/parts/pill.html", {"tone": TONES.get(state, "waiting"), "word": words})


def ago(moment: datetime | None) -> SafeString:
    """Return a time relative to now, the exact one on hover."""
    return render_to_string("admin/outbox/parts/ago.html", {"moment": moment})


def lasted(span: timedelta) -> SafeString:
    """Return a span of time in words."""
    return render_to_string("admin/outbox/parts/lasted.html", {"span": span})


def linked(model: str, key: object, text: object) -> SafeString:
    """Return a link to a row's page in the console."""
    return format_html('<a class="through" href="{}">{}</a>', address(model, key), text)


def address(model: str, key: object) -> str:
    """Return the address of a row's page, such as `saga`."""
    return reverse(f"admin:outbox_{model}_change", args=[key])


def short(key: object) -> str:
    """Return the telling end of an id: the front of a UUIDv7 is a time."""
    return f"…{str(key)[-8:]}"


def parse_id(text: str) -> UUID | None:
    """Read an id as people paste it: a UUID with or without dashes, or a public id such as `ord_…`; None if neither."""
    try:
        return UUID(text.strip().rpartition("_")[2])
    except ValueError:
        return None


class ReasonedActionForm(ActionForm):  # type: ignore[misc]  # unfold ships no types
    """Asks beside the choice of an action why it is done."""

    reason = CharField(
        label="",
        required=False,  # the action itself says what is missing; of this form only that no action was chosen
        widget=UnfoldAdminTextInputWidget(
            {"placeholder": "Reason, kept in the audit log", "aria-label": "Reason", "maxlength": "300"}
        ),
    )


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rows that only the engine writes."""

    show_full_result_count = False
    paginator = InfinitePaginator
    list_per_page = 50
    list_disable_select_all = True
    list_fullwidth = True
    id_fields: Sequence[str] = ()
    """UUID columns that the search looks at, by equality, so that it always finds an index."""

    class Media:
        css = {"all": ["tandem/console.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the engine makes these rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the engine changes these rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: nothing is forgotten."""
        return False

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        """Show the search box where ids can be looked for."""
        return self.id_fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by an id; anything else finds nothing."""
        if not search_term or not self.id_fields:
            return queryset, False
        wanted = parse_id(search_term)
        if wanted is None:
            return queryset.none(), False
        condition = Q()
        for field in self.id_fields:
            condition |= Q(**{field: wanted})
        return queryset.filter(condition), False


class ConsumerFilter(SimpleListFilter):
    """Rows of one consumer; the choice comes from the code, not from the table."""

    title = "consumer"
    parameter_name = "consumer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return every consumer of this release."""
        return [(entry.name, entry.name) for entry in all_consumers()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        return queryset.filter(consumer=self.value()) if self.value() else queryset
