"""The catalogue of messages: what each contract says, in which versions, who handles it, and what it looks like.

Shown to operators (outbox/admin/contracts.py), and the source of a project's own documents.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from outbox import samples
from outbox.conf import conf
from outbox.consumers import AnyConsumer, find, subscribers
from outbox.contracts import Contract, Message, all_contracts

WORDS = {"uuid": "id", "decimal": "decimal", "date-time": "time, with its zone", "date": "day", "string": "text"}


@dataclass(frozen=True)
class FieldEntry:
    """One field of a contract."""

    name: str
    type: str
    required: bool
    meaning: str
    """What its docstring says; empty when the class says nothing."""


@dataclass(frozen=True)
class Entry:
    """One contract."""

    contract: Contract
    meaning: str
    fields: tuple[FieldEntry, ...]
    consumers: tuple[AnyConsumer, ...]
    versions: tuple[int, ...]
    """Those that this release reads, the newest first."""
    sample: str
    """A payload of the present version, as indented JSON."""


def catalogue() -> list[Entry]:
    """Return every contract of this release, sorted by name."""
    return [entry_of(declared) for declared in all_contracts()]


def entry_of(declared: Contract) -> Entry:
    """Return what there is to say about one contract."""
    handled_by = (find(name) for name in subscribers(declared.name))
    return Entry(
        declared,
        " ".join((inspect.getdoc(declared.cls) or "").split()),
        tuple(_fields(declared)),
        tuple(entry for entry in handled_by if entry is not None),
        tuple(declared.readable_versions()),
        _sample(declared),
    )


def _sample(declared: Contract) -> str:
    path = samples.path_of(declared.name, declared.version, conf.CONTRACTS_FOLDER)
    if path.exists():
        return path.read_text().rstrip()
    return msgspec.json.format(msgspec.json.encode(samples.sample_of(declared.schema())), indent=2).decode()


def _fields(declared: Contract) -> list[FieldEntry]:
    schema = declared.schema()
    shape = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    meanings, required = docstrings(declared.cls), set(shape.get("required", ()))
    return [
        FieldEntry(name, _type(inner), name in required, meanings.get(name, ""))
        for name, inner in shape["properties"].items()
    ]


def _type(schema: Mapping[str, Any]) -> str:
    """Return a field's type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_type(kind) for kind in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or {})}"
    kind = str(schema.get("format") or schema.get("type") or "anything")
    return WORDS.get(kind, kind)


@cache
def docstrings(cls: type[Message]) -> Mapping[str, str]:
    """Return the strings that stand under the fields of a message's class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr)):
            continue
        target, value = statement.target, following.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[target.id] = " ".join(value.value.split())
    return found
