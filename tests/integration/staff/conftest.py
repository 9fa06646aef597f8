"""A shop, and people who look at it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.customers import create_staff
from outbox.publishing import unit_of_work
from tests.shop import busy_shop, shop

__all__ = ["busy_shop", "shop"]


def signed_in(name: str, role: str) -> Client:
    """Return a browser of somebody with a role."""
    with unit_of_work():
        create_staff(username=name, role=role)
    client = Client()
    client.force_login(User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def viewer(db) -> Client:
    return signed_in("vera", "viewer")


@pytest.fixture
def operator(db) -> Client:
    return signed_in("ada", "operator")
