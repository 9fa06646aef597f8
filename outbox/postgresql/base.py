"""Django's backend for PostgreSQL, on connections that do not wait for ever. Name it as ENGINE: "outbox.postgresql"."""

from typing import Any

from django.db.backends.postgresql import base

from outbox.postgresql import driver
from outbox.postgresql.cursor import BeginsOnTheWay


class Cursor(BeginsOnTheWay, base.ServerBindingCursor):
    """Django's cursor, with a trip less for each transaction."""


class DatabaseWrapper(base.DatabaseWrapper):
    """The same backend on another driver."""

    Database = driver

    def get_connection_params(self) -> dict[str, Any]:
        """Return how to connect; with parameters that the server binds, cursors are ours."""
        parameters: dict[str, Any] = super().get_connection_params()
        if parameters["cursor_factory"] is base.ServerBindingCursor:
            parameters["cursor_factory"] = Cursor
        return parameters
