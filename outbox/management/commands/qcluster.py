"""`manage.py qcluster`: runs the worker cluster in the foreground."""

from typing import Any

from django.core.management.base import BaseCommand

from outbox.q2 import run_cluster


class Command(BaseCommand):
    """Replaces django-q2's command of the same name with our crash-only cluster."""

    help = "Run the worker cluster until it is stopped (SIGTERM or Ctrl-C)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        run_cluster()
