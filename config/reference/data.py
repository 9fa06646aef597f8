"""The data dictionary: every table and column of our apps, with its meaning.

Meanings stand with the models, as help texts or as docstrings under the fields; what is the same everywhere, or goes
without saying beside the code, is in meanings.toml.
"""

import ast
import inspect
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Field, ForeignKey, Model

from config.reference.tables import NOTE, table, words_of

APPS = {
    "orders": "customers, catalogue, orders",
    "payments": "the money side of orders, and what was asked of the provider",
    "fulfillment": "stock, reservations, parcels, returns",
    "outbox": "messages, the queue, sagas, and the engine's own books",
}
HEAD = """# Data dictionary

Every table of our own. Times are UTC. Amounts are decimals in major units of the currency beside them. Ids are UUIDv7
unless they say otherwise; `order_id` in payments and fulfilment is an opaque reference without a foreign key, as those
apps know nothing of orders. Tables of Django, django-q2 and django-axes are described by their own documentation.
`outbox_message` and `outbox_receipt` are partitioned by month of the message's id.
"""
MEANINGS = Path(__file__).with_name("meanings.toml")


def data_page() -> str:
    """Return data.md."""
    parts = [NOTE, HEAD]
    for label, words in APPS.items():
        parts.append(f"\n## {label}: {words}\n")
        parts += [_table(model) for model in models_of(label)]
    return "".join(parts)


def models_of(label: str) -> Iterator[type[Model]]:
    """Yield the models of an app that have a table of their own."""
    return (model for model in apps.get_app_config(label).get_models() if not model._meta.proxy)


def _table(model: type[Model]) -> str:
    rows = [(f"`{f.column}`", _type(f), meaning(model, f)) for f in model._meta.concrete_fields if f.column]
    keeps = ", ".join(f"`{constraint.name}`" for constraint in model._meta.constraints)
    kept = f"\nThe database keeps: {keeps}.\n" if keeps else ""
    return f"\n### `{model._meta.db_table}`\n\n{words_of(model)}\n\n{table(('column', 'type', 'meaning'), rows)}{kept}"


def _type(field: "Field[Any, Any]") -> str:
    kind = str(field.db_type(connection) or "").replace("timestamp with time zone", "timestamptz")
    return kind.replace("varchar", "text") + (", may be null" if field.null else "")


def meaning(model: type[Model], field: "Field[Any, Any]") -> str:
    """Return what a column means; empty when nobody says."""
    words = tomllib.loads(MEANINGS.read_text())
    name = f"{model._meta.db_table}.{field.column}"
    said = field.help_text or _docstrings(model).get(field.name) or words["columns"].get(name)
    said = str(said or words["everywhere"].get(field.column, ""))
    parts = [said, _target(field), _choices(field)]
    return " ".join(part for part in parts if part)


def _target(field: "Field[Any, Any]") -> str:
    return f"→ `{field.related_model._meta.db_table}`" if isinstance(field, ForeignKey) else ""


def _choices(field: "Field[Any, Any]") -> str:
    values = [str(value) for value, _ in field.flatchoices]
    return f"One of: {', '.join(values)}." if values else ""


def _docstrings(model: type[Model]) -> dict[str, str]:
    """Return the strings that stand under the fields of a model's class and of its abstract parents."""
    parents = (parent for parent in reversed(model.__mro__) if issubclass(parent, Model) and parent is not Model)
    return {name: words for parent in parents for name, words in _strings_under_names(parent).items()}


def _strings_under_names(model: type[Any]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.Assign) and isinstance(following, ast.Expr):
            target, value = statement.targets[0], following.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[target.id] = " ".join(value.value.split())
    return found
