"""The catalogue of messages: every contract, what it means, what it carries and who consumes it."""

import ast
import tomllib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from config.reference.data import APPS, MEANINGS
from config.reference.tables import NOTE, cell, table
from outbox.catalogue import Entry, FieldEntry, catalogue
from outbox.consumers import AnyConsumer, ExternalConsumer, all_consumers, all_destinations
from outbox.contracts import Contract
from outbox.destinations import Destination
from outbox.sagas.engine import definitions

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Messages

Every contract of this release. An **event** tells what happened; any number of consumers may care. A **command** asks
for something; exactly one consumer does it. "Exactly once in effect": the consumers touch our database only, so effect
and acknowledgement are one transaction. "At least once": a consumer calls someone outside, and repeats the call after a
crash with the same idempotency key. "At most once": acknowledged before the call, never repeated. Messages come in any
order unless the contract or the consumer says otherwise. The JSON Schemas, and samples, of every version ever published
are in [contracts/](contracts/); the console shows the same under Contracts.
"""
DESTINATIONS_HEAD = """
## Destinations

Limits hold over all workers and hosts. Operators may set others while everything runs: see
[breakers and throttles](../how-to/operate-destinations.md).

"""


def messages_page() -> str:
    """Return messages.md."""
    parts = [NOTE, HEAD]
    ours = [entry for entry in catalogue() if entry.contract.owner in APPS]
    said_by = producers([entry.contract for entry in ours])
    for owner, owned in groupby(ours, key=lambda entry: entry.contract.owner):
        entries = list(owned)
        parts.append(f"\n## {owner}\n\n")
        head = ("message", "kind", "about", "means", "promise", "consumers")
        parts.append(table(head, (_row(entry) for entry in entries)))
        parts += [_section(entry, said_by[entry.contract.name]) for entry in entries]
    parts.append("\n## Consumers\n\n")
    parts.append(table(("consumer", "handles", "how", "attempts"), (_consumer(entry) for entry in _our_consumers())))
    parts.append(DESTINATIONS_HEAD)
    called = [where for where in all_destinations() if any(_calls(entry, where) for entry in _our_consumers())]
    columns = ("destination", "calls at once", "calls per second", "repetitions", "called by")
    parts.append(table(columns, (_destination(where) for where in called)))
    return "".join(parts)


def _row(entry: Entry) -> tuple[str, ...]:
    declared = entry.contract
    link = f"[`{declared.name}`](#{declared.name.replace('.', '')}) v{declared.version}"
    consumers = ", ".join(f"`{consumer.name}`" for consumer in entry.consumers)
    return (link, _kind(declared), declared.aggregate, entry.meaning, declared.promise, consumers)


def _section(entry: Entry, said_by: list[str]) -> str:
    declared = entry.contract
    versions = ", ".join(f"[{n}](contracts/{declared.name}.v{n}.json)" for n in reversed(entry.versions))
    facts = [
        f"{_kind(declared).capitalize()} of {declared.aggregate} (`{declared.key}`), owned by {declared.owner};"
        f" {declared.promise}.",
        f"Versions: {versions}.",
        f"Said in {', '.join(f'`{module}`' for module in said_by)}." if said_by else "Said by nobody in this release.",
        f"Handled by {', '.join(_handler(consumer) for consumer in entry.consumers)}.",
    ]
    rows = [
        (f"`{f.name}`", f.type + ("" if f.required else ", may be missing"), field_meaning(f)) for f in entry.fields
    ]
    fields = table(("field", "type", "meaning"), rows)
    return f"\n### {declared.name}\n\n{entry.meaning}\n\n{' '.join(facts)}\n\n{fields}\n```json\n{entry.sample}\n```\n"


def _kind(declared: Contract) -> str:
    return declared.kind.value + (", saga's reply" if _is_reply(declared) else "")


def _handler(consumer: AnyConsumer) -> str:
    return f"`{consumer.name}`" + (" (in order)" if consumer.order_by else "")


def field_meaning(field: FieldEntry) -> str:
    """Return what a field means: its docstring, or what goes without saying beside the code."""
    words = tomllib.loads(MEANINGS.read_text())
    return field.meaning or str(words["fields"].get(field.name) or words["everywhere"].get(field.name, ""))


def producers(contracts: Sequence[Contract]) -> dict[str, list[str]]:
    """Return, by message, the modules of ours that make one."""
    names = {declared.cls.__name__: declared.name for declared in contracts}
    found: dict[str, set[str]] = {declared.name: set() for declared in contracts}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text())):
                called = node.func if isinstance(node, ast.Call) else None
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in names:
                    found[names[name]].add(module)
    return {name: sorted(modules) for name, modules in found.items()}


def _is_reply(declared: Contract) -> bool:
    return any(declared.cls in definition.replies() for definition in definitions())


def _our_consumers() -> list[AnyConsumer]:
    return [entry for entry in all_consumers() if entry.name.partition(".")[0] in APPS]


def _consumer(entry: AnyConsumer) -> tuple[str, ...]:
    handles = ", ".join(f"`{declared.name}`" for declared in entry.contracts)
    attempts = str(entry.retry.attempts) if entry.retry else "`MAX_ATTEMPTS`"
    if isinstance(entry, ExternalConsumer):
        how = f"calls `{entry.destination}`" + (f", {entry.concurrency} at once" if entry.concurrency else "")
    else:
        how = f"in our database, {entry.batch} in a transaction" if entry.batch > 1 else "in our database, one by one"
    return (f"`{entry.name}`", cell(handles), how, attempts)


def _calls(entry: AnyConsumer, where: Destination) -> bool:
    return isinstance(entry, ExternalConsumer) and entry.destination == where.name


def _destination(where: Destination) -> tuple[str, ...]:
    budget = where.retry_budget
    rate = "" if where.rate_per_second is None else f"{where.rate_per_second:g}, {where.bucket:g} in a burst"
    again = f"{budget.share:.0%} of the calls, or {budget.minimum} in {budget.window_seconds:g} s" if budget else ""
    callers = ", ".join(f"`{entry.name}`" for entry in _our_consumers() if _calls(entry, where))
    return (f"`{where.name}`", str(where.concurrency or ""), rate, again, callers)
