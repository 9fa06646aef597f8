"""Records that nobody can change: state machines' steps, and what people did."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from outbox.admin.base import ReadOnlyAdmin, ago, short
from outbox.models import AuditEntry, Transition


@admin.register(Transition)
class TransitionAdmin(ReadOnlyAdmin):
    """Every step of every state machine, newest first."""

    list_display = ("machine", "entity", "seq", "from_state", "to_state", "when")
    sortable_by = ()
    ordering = ("-id",)
    id_fields = ("entity_id",)
    search_help_text = "The id of the order, payment or shipment (also as ord_…)"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by entity; naming its possible machines lets the index (machine, entity) be used."""
        found, again = super().get_search_results(request, queryset, search_term)
        return (found.filter(machine__in=_machines()) if search_term else found), again

    @admin.display(description="Entity")
    def entity(self, row: Transition) -> str:
        """Whose state it is."""
        return short(row.entity_id)

    @admin.display(description="When")
    def when(self, row: Transition) -> SafeString:
        """When."""
        return ago(row.at)


def _machines() -> list[str]:
    """Return the names of the machines on record, hopping from one to the next along the index."""
    names: list[str] = []
    rows = Transition.objects.order_by("machine").values_list("machine", flat=True)
    following = rows.first()
    while following is not None:
        names.append(following)
        following = rows.filter(machine__gt=following).first()
    return names


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, when and why, newest first."""

    list_display = ("action", "subject", "actor", "reason", "when")
    sortable_by = ()
    ordering = ("-id",)
    search_fields = ("subject", "actor", "reason")
    search_help_text = "Subject (such as delivery:12), actor (such as staff:ada) or words of the reason"

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """What people do is little: its text is searched."""
        return self.search_fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by text."""
        condition = Q()
        for field in self.search_fields:
            condition |= Q(**{f"{field}__icontains": search_term.strip()})
        return queryset.filter(condition), False

    @admin.display(description="When")
    def when(self, row: AuditEntry) -> SafeString:
        """When."""
        return ago(row.at)
