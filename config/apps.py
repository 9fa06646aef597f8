"""The project itself is an app: it owns the pages that see every other app."""

from django.apps import AppConfig


class ConfigApp(AppConfig):
    name = "config"
    label = "config"
    verbose_name = "Tandem"
