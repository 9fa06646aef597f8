"""The Django application."""

from django.apps import AppConfig


class FulfillmentConfig(AppConfig):
    """Stock, reservations, shipments and the carrier."""

    name = "fulfillment"
    verbose_name = "Fulfilment"
    default_auto_field = "django.db.models.BigAutoField"
