"""Django's backend for PostgreSQL, on connections that do not wait for ever. Name it as ENGINE: "outbox.postgresql"."""

import select
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

    def is_usable(self) -> bool:
        """Tell whether a kept connection still stands, without a trip to the server where it has said nothing.

        A server that ends a connection says so, and a peer that is gone for the kernel is an error on the socket: both
        can be read. Only then is it asked. One that was given up on this side has no socket any more.
        """
        if self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0) or super().is_usable()
