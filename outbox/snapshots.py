"""The published contracts, kept as JSON Schema files: what other systems and older messages rely on.

A version that was published never changes: a change is a new version with an upcaster from the one before. That holds
for a new optional field too: readers refuse fields that they do not know, so that an older release would give up the
message instead of parking it. Only what people read (docstrings, examples, the owner), and what the
engine alone goes by (order, expiry), may change within a version.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outbox.contracts import Contract, all_contracts

Schema = Mapping[str, Any]

WORDS = ("title", "description", "examples", "x-owner", "x-ordering", "x-expires-after-seconds")


def path_of(contract: Contract, folder: Path) -> Path:
    """Return where the contract's present version is kept."""
    return folder / f"{contract.name}.v{contract.version}.json"


def render(contract: Contract) -> str:
    """Return the contract's JSON Schema as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(contract.schema(), order="sorted"), indent=2).decode() + "\n"


def problems(folder: Path, contracts: Sequence[Contract] | None = None) -> list[str]:
    """Say in sentences where the files in `folder` and the declared contracts differ; all messages', unless given."""
    declared = all_contracts() if contracts is None else contracts
    return [*_present(folder, declared), *_former(folder, declared)]


def write(folder: Path, contracts: Sequence[Contract] | None = None) -> list[Path]:
    """Write the files that are missing or whose words only are out of date; return them. Changed schemas stay."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for contract in all_contracts() if contracts is None else contracts:
        path = path_of(contract, folder)
        if not path.exists() or (_text(path) != render(contract) and not _changed(contract, path)):
            path.write_text(render(contract))
            written.append(path)
    return written


def _present(folder: Path, contracts: Sequence[Contract]) -> Iterator[str]:
    for contract in contracts:
        path = path_of(contract, folder)
        if not path.exists():
            yield f"{contract.name} v{contract.version} has no snapshot: run `./tandem check --write`."
        elif _changed(contract, path):
            yield (
                f"{contract.name} v{contract.version} differs from {path.name}: {'; '.join(_changes(contract, path))}. "
                "A published version never changes: "
                f"make it version {contract.version + 1} with an upcaster from {contract.version}, "
                "or delete the file if that version was never released."
            )
        elif _text(path) != render(contract):
            yield f"The words of {path.name} are out of date: run `./tandem check --write`."


def _former(folder: Path, contracts: Sequence[Contract]) -> Iterator[str]:
    """Yield what is wrong with versions that are published but not the present one."""
    declared = {contract.name: contract for contract in contracts}
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
    return bool(_changes(contract, path))


def _changes(contract: Contract, path: Path) -> list[str]:
    """Say in few words what is different from the published schema, beyond words."""
    published = _without_words(msgspec.json.decode(_text(path)))
    declared = _without_words(msgspec.json.decode(render(contract)))
    before, after = published.pop("$defs", {}), declared.pop("$defs", {})
    found = [f"{key} was {published.get(key)!r}" for key in _differing(published, declared)]
    for part in _differing(before, after):
        found += _field_changes(before.get(part, {}), after.get(part, {})) or [f"{part} is declared in another way"]
    return found


def _field_changes(before: Schema, after: Schema) -> list[str]:
    old, new = before.get("properties", {}), after.get("properties", {})
    was, now = set(before.get("required", ())), set(after.get("required", ()))
    gone = [f"`{field}` is gone" for field in sorted(set(old) - set(new))]
    added = [
        f"`{field}` is new and {'required' if field in now else 'unknown to older readers'}"
        for field in sorted(set(new) - set(old))
    ]
    common = [field for field in old if field in new]
    retyped = [f"`{field}` was {_brief(old[field])}" for field in common if old[field] != new[field]]
    stricter = [f"`{field}` is required now" for field in common if field in now - was]
    laxer = [f"`{field}` may be missing now" for field in common if field in was - now]
    return [*gone, *added, *retyped, *stricter, *laxer]


def _differing(before: Schema, after: Schema) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _brief(schema: Schema) -> str:
    return msgspec.json.encode(schema, order="sorted").decode()


def _text(path: Path) -> str:
    return path.read_text()


def _without_words(schema: Any) -> Any:
    """Return the schema without what only people read; a property may be called `title`, its schema is no text."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key not in WORDS or isinstance(value, dict)}
        return {key: _without_words(value) for key, value in kept.items()}
    return [_without_words(item) for item in schema] if isinstance(schema, list) else schema
