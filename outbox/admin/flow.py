"""Who works, who is paused, and which destinations can be reached."""

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.admin.base import ReadOnlyAdmin, ago, pill
from outbox.models import Breaker, ConsumerControl, Worker


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


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    """Circuit breakers, one per destination."""

    list_display = ("destination", "standing", "failures", "reason", "next_probe", "throttled", "changed")
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

    @admin.display(description="Since")
    def changed(self, row: Breaker) -> SafeString:
        """When the state changed."""
        return ago(row.changed_at)


@admin.register(ConsumerControl)
class ConsumerControlAdmin(ReadOnlyAdmin):
    """What was paused, by whom and why; `manage.py outbox pause` and `resume` change it."""

    list_display = ("consumer", "standing", "reason", "actor", "changed")
    ordering = ("-paused", "consumer")

    @admin.display(description="State")
    def standing(self, row: ConsumerControl) -> SafeString:
        """Whether it works."""
        return pill("paused") if row.paused else pill("running", "Works")

    @admin.display(description="Since")
    def changed(self, row: ConsumerControl) -> SafeString:
        """When that was decided."""
        return ago(row.changed_at)
