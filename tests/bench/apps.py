from django.apps import AppConfig


class BenchApp(AppConfig):
    """Tables and handlers that exist to be measured."""

    name = "tests.bench"
    label = "bench"
    default_auto_field = "django.db.models.BigAutoField"
