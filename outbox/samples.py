"""A sample payload of every version ever published, kept beside the schemas: proof that today's code reads them all.

A sample may be edited by hand to read better; whatever it says, it must fit its schema and be readable.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from outbox.contracts import contract_named
from outbox.errors import ContractError, UnknownContract

SOME_ID = "01890a5d-ac96-774b-bcce-{:012x}"
BY_FORMAT = {
    "decimal": "12.50",
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05",
    "duration": "PT90S",
}
BY_TYPE: Mapping[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}


def path_of(name: str, version: int | str, folder: Path) -> Path:
    """Return where the sample of a version is kept, below the `folder` of the schemas."""
    return folder / "samples" / f"{name}.v{version}.json"


def published(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield name, version and schema file of every version ever published."""
    for path in sorted(folder.glob("*.v*.json")):
        name, _, version = path.name.removesuffix(".json").rpartition(".v")
        yield name, int(version), path


def write(folder: Path) -> list[Path]:
    """Write the samples that are missing; return them."""
    written = []
    for name, version, schema in published(folder):
        path = path_of(name, version, folder)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            payload = sample_of(msgspec.json.decode(schema.read_bytes()))
            path.write_bytes(msgspec.json.format(msgspec.json.encode(payload), indent=2) + b"\n")
            written.append(path)
    return written


def problems(folder: Path) -> list[str]:
    """Say in sentences which versions have no sample, and which samples today's code cannot read."""
    return [*_missing_or_unreadable(folder), *_without_schema(folder)]


def _missing_or_unreadable(folder: Path) -> Iterator[str]:
    for name, version, _ in published(folder):
        path = path_of(name, version, folder)
        if not path.exists():
            yield f"{name} v{version} has no sample: run `manage.py outbox contracts --write`."
            continue
        try:
            contract_named(name).decode(path.read_text(), version)
        except UnknownContract:
            continue  # the snapshots say so already
        except ContractError as error:
            yield f"The sample of {name} v{version} cannot be read any more, as real messages could not: {error}"


def _without_schema(folder: Path) -> Iterator[str]:
    known = {path_of(name, version, folder) for name, version, _ in published(folder)}
    for path in sorted((folder / "samples").glob("*.json")):
        if path not in known:
            yield f"samples/{path.name} belongs to no published version."


def sample_of(schema: Mapping[str, Any]) -> Any:
    """Return a payload that fits a JSON Schema as contracts have them; the same one each time."""
    return _value(schema, schema.get("$defs", {}), "payload")


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any], name: str) -> Any:
    """Return a value for `schema`, named after the field `name` where it is a text."""
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rpartition("/")[2]], definitions, name)
    if "anyOf" in schema:
        telling = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        return _value(telling[0], definitions, name)
    for listed in ("examples", "enum"):
        if listed in schema:
            return schema[listed][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object":
        return {field: _value(inner, definitions, field) for field, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(schema["items"], definitions, name)] if schema.get("items") else []
    return _text(schema, name) if kind == "string" else BY_TYPE.get(str(kind))


def _text(schema: Mapping[str, Any], name: str) -> str:
    if schema.get("format") == "uuid":
        return SOME_ID.format(crc32(name.encode()))
    return BY_FORMAT.get(str(schema.get("format")), name)
