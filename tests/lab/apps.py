from django.apps import AppConfig


class LabApp(AppConfig):
    """A tiny domain that exists to try the engine."""

    name = "tests.lab"
    label = "lab"
