"""Who works, and who is paused or throttled."""

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.admin.base import ReadOnlyAdmin, ago, pill
from outbox.models import ConsumerControl, Worker


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
    """What was paused or throttled, by whom and why; `manage.py outbox pause`, `resume` and `throttle` change it."""

    list_display = ("consumer", "standing", "reason", "actor", "changed", "limits", "limit_reason")
    ordering = ("-paused", "consumer")

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
        at_once = f"{row.limit_concurrency} at once" if row.limit_concurrency else ""
        rate = f"{row.limit_per_second:g} a second" if row.limit_per_second else ""
        return ", ".join(part for part in (at_once, rate) if part)
