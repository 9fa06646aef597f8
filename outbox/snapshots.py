"""The published contracts, kept as JSON Schema files: what other systems and older messages rely on.

A version that was published never changes: a change is a new version with an upcaster from the one before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from outbox.contracts import Contract, all_contracts

WORDS = ("title", "description")


def path_of(contract: Contract, folder: Path) -> Path:
    """Return where the contract's present version is kept."""
    return folder / f"{contract.name}.v{contract.version}.json"


def render(contract: Contract) -> str:
    """Return the contract's JSON Schema as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(contract.schema(), order="sorted"), indent=2).decode() + "\n"


def problems(folder: Path) -> list[str]:
    """Say in sentences where the files in `folder` and the declared contracts differ."""
    return [*_present(folder), *_former(folder)]


def write(folder: Path) -> list[Path]:
    """Write the files that are missing or whose words only are out of date; return them. Changed schemas stay."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for contract in all_contracts():
        path = path_of(contract, folder)
        if not path.exists() or (_text(path) != render(contract) and not _changed(contract, path)):
            path.write_text(render(contract))
            written.append(path)
    return written


def _present(folder: Path) -> Iterator[str]:
    for contract in all_contracts():
        path = path_of(contract, folder)
        if not path.exists():
            yield f"{contract.name} v{contract.version} has no snapshot: run `manage.py outbox contracts --write`."
        elif _changed(contract, path):
            yield (
                f"{contract.name} v{contract.version} differs from {path.name}. A published version never changes: "
                f"make it version {contract.version + 1} with an upcaster from {contract.version}, "
                "or delete the file if that version was never released."
            )
        elif _text(path) != render(contract):
            yield f"The words of {path.name} are out of date: run `manage.py outbox contracts --write`."


def _former(folder: Path) -> Iterator[str]:
    """Yield what is wrong with versions that are published but not the present one."""
    declared = {contract.name: contract for contract in all_contracts()}
    for path in sorted(folder.glob("*.v*.json")):
        name, _, version = path.name.removesuffix(".json").rpartition(".v")
        contract = declared.get(name)
        if contract is None:
            yield f"{path.name} is published, but no contract has that name any more: its messages would be parked."
        elif int(version) > contract.version:
            yield f"{path.name} is published, but the code is back at version {contract.version}."
        elif any(step not in contract.upcasters for step in range(int(version), contract.version)):
            yield f"{path.name} is published, but no chain of upcasters leads from it to version {contract.version}."


def _changed(contract: Contract, path: Path) -> bool:
    published: object = _without_words(msgspec.json.decode(_text(path)))
    declared: object = _without_words(msgspec.json.decode(render(contract)))
    return published != declared


def _text(path: Path) -> str:
    return path.read_text()


def _without_words(schema: Any) -> Any:
    """Return the schema without what only people read; a property may be called `title`, its schema is no text."""
    if isinstance(schema, dict):
        return {
            key: _without_words(value) for key, value in schema.items() if not (key in WORDS and isinstance(value, str))
        }
    return [_without_words(item) for item in schema] if isinstance(schema, list) else schema
