"""The Django application."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Customers, catalogue and orders."""

    name = "orders"
    verbose_name = "Orders"
