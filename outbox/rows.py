"""Inserting rows with a statement that is built once.

Django's ORM builds the text of every INSERT anew, which on a busy path costs more than the database does. `insert`
keeps the text per model, columns and number of rows, and leaves everything else (fields, adapters) to Django. It sends
no signals and reads nothing back: a database default that is a plain value is set on the row, any other is left to the
database.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model, Value
from django.db.models.expressions import DatabaseDefault

from outbox.publishing import open_unit

Columns = tuple["Field[Any, Any]", ...]


@lru_cache(maxsize=256)
def _statement(model: type[Model], columns: Columns, rows: int) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in columns)
    row = f"({', '.join(['%s'] * len(columns))})"
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - names only


def _columns(row: Model) -> Columns:
    fields = row._meta.local_concrete_fields
    return tuple(field for field in fields if not isinstance(getattr(row, field.attname), DatabaseDefault))


def _set_plain_defaults(row: Model) -> None:
    for field in row._meta.local_concrete_fields:
        unset = isinstance(getattr(row, field.attname), DatabaseDefault)
        if unset and isinstance(plain := getattr(field, "_db_default_expression", None), Value):
            setattr(row, field.attname, plain.value)


def insert(rows: Sequence[Model]) -> None:
    """Insert new rows of one model in one statement, in the open unit of work. Raises NoUnitOfWork."""
    open_unit()
    for row in rows:
        _set_plain_defaults(row)
    columns = _columns(rows[0])
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for row in rows for field in columns]
    with connection.cursor() as cursor:
        cursor.execute(_statement(type(rows[0]), columns, len(rows)), values)
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias
