"""Django's backend for PostgreSQL, on connections that do not wait for ever. Name it as ENGINE: "outbox.postgresql"."""

from django.db.backends.postgresql import base

from outbox.postgresql import driver


class DatabaseWrapper(base.DatabaseWrapper):
    """The same backend on another driver."""

    Database = driver
