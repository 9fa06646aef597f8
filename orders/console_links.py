"""Addresses of the operators' console, for links from the staff's pages."""

from django.urls import reverse


def console_list(model: str) -> str:
    """Return the address of the list of an engine's model, such as `deadletter`."""
    return f"{reverse('admin:index')}outbox/{model}/"


def console_item(model: str, key: object) -> str:
    """Return the address of one row."""
    return f"{console_list(model)}{key}/change/"
