"""Django's backend for PostgreSQL, on connections that do not wait for ever. Name it as ENGINE: "outbox.postgresql"."""

import select

from django.db.backends.postgresql import base

from outbox.postgresql import driver


class DatabaseWrapper(base.DatabaseWrapper):
    """The same backend on another driver."""

    Database = driver

    def is_usable(self) -> bool:
        """Tell whether a kept connection still stands, without a trip to the server where it has said nothing.

        A server that ends a connection says so, and a peer that is gone for the kernel is an error on the socket: both
        can be read. Only then is it asked.
        """
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0) or super().is_usable()
