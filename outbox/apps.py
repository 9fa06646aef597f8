"""The outbox as a Django app: loads every app's handlers and invariants at start."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.module_loading import autodiscover_modules

from outbox.checks import check_consumers, check_retention


class OutboxApp(AppConfig):
    name = "outbox"
    verbose_name = "Outbox"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        autodiscover_modules("commands", "events", "handlers", "invariants")
        register(check_consumers)
        register(check_retention)
