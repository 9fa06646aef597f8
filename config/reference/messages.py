"""The catalogue of messages: every contract, what it means, what it carries and who consumes it."""

from itertools import groupby

from config.reference.data import APPS
from config.reference.tables import NOTE, cell, table, words_of
from outbox.consumers import AnyConsumer, ExternalConsumer, all_consumers, all_destinations, subscribers
from outbox.contracts import Contract, all_contracts
from outbox.destinations import Destination
from outbox.sagas.engine import definitions

HEAD = """# Messages

Every contract of this release. An **event** tells what happened; any number of consumers may care. A **command** asks
for something; exactly one consumer does it. "Exactly once in effect": the consumers touch our database only, so effect
and acknowledgement are one transaction. "At least once": a consumer calls someone outside, and repeats the call after a
crash with the same idempotency key. The JSON Schemas are in [contracts/](contracts/).
"""
DESTINATIONS_HEAD = """
## Destinations

Limits hold over all workers and hosts. Operators may set others while everything runs: see
[breakers and throttles](../how-to/operate-destinations.md).

"""


def messages_page() -> str:
    """Return messages.md."""
    parts = [NOTE, HEAD]
    ours = [declared for declared in all_contracts() if declared.owner in APPS]
    for owner, contracts in groupby(ours, key=lambda declared: declared.owner):
        parts.append(f"\n## {owner}\n\n")
        head = ("message", "kind", "about", "means", "carries", "promise", "consumers")
        parts.append(table(head, (_row(declared) for declared in contracts)))
    parts.append("\n## Consumers\n\n")
    parts.append(table(("consumer", "handles", "how", "attempts"), (_consumer(entry) for entry in _our_consumers())))
    parts.append(DESTINATIONS_HEAD)
    called = [where for where in all_destinations() if any(_calls(entry, where) for entry in _our_consumers())]
    columns = ("destination", "calls at once", "calls per second", "repetitions", "called by")
    parts.append(table(columns, (_destination(where) for where in called)))
    return "".join(parts)


def _row(declared: Contract) -> tuple[str, ...]:
    fields = ", ".join(f"`{name}`" for name in declared.cls.__struct_fields__)
    consumers = ", ".join(f"`{name}`" for name in subscribers(declared.name))
    link = f"[`{declared.name}`](contracts/{declared.name}.v{declared.version}.json) v{declared.version}"
    kind = declared.kind.value + (", saga's reply" if _is_reply(declared) else "")
    return (link, kind, declared.aggregate, words_of(declared.cls), fields, declared.semantics.value, consumers)


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
