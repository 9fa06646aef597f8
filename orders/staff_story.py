"""The story of an order, put together from rows that were read elsewhere. Pure: no query is made here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from orders.staff_deaths import Death, deaths_of
from orders.staff_words import Words, attempts_in_words, destination_of, sentence_of
from outbox.models import Attempt, AuditEntry, Delivery, Message, Receipt

LONG_SILENCE = timedelta(seconds=5)
"""A pause worth a line of its own."""

CALLBACKS = frozenset({"fulfillment.follow_parcel", "payments.synchronise_payment"})
"""Commands that are sent because somebody outside called us back."""

FAILURE_KINDS = {
    "transient": "It did not work this time",
    "unknown": "The answer was lost: whether it worked is not known yet",
    "throttled": "We were asked to slow down",
    "permanent": "It cannot work",
    "crash": "The worker died while doing it",
    "parked": "No running release knows this message",
}


@dataclass(frozen=True, slots=True)
class Held:
    """Work waits for an outside system; `until` is when it is tried next."""

    destination: str
    until: datetime | None
    throttled: bool = False
    """It answers, but asked us to slow down."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything that was found about one order at the time `now`."""

    now: datetime
    messages: Sequence[Message] = ()
    receipts: Sequence[Receipt] = ()
    attempts: Sequence[Attempt] = ()
    deliveries: Sequence[Delivery] = ()
    audit: Sequence[AuditEntry] = ()
    held: Mapping[str, Held] = field(default_factory=dict)
    """Consumers that call a system which does not answer."""
    external: frozenset[str] = frozenset()
    """Names of the consumers that call someone outside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the story."""

    key: str
    at: datetime
    tone: str
    icon: str
    title: str
    text: str = ""
    summary: str = "Details"
    facts: tuple[tuple[str, str], ...] = ()
    trace: str = ""
    open: bool = False
    minor: bool = False
    gap: str = ""
    failure: "Failure | None" = None
    until: datetime | None = None
    """When a run of the same failure last happened."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed attempt has in common with its repetitions, and which attempts it stands for."""

    what: tuple[UUID, str, str, str]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Reader:
    """What one consumer made of a message."""

    name: str
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class Node:
    """A message in the causal tree."""

    id: UUID
    kind: str
    name: str
    title: str
    at: datetime
    consumers: tuple[Reader, ...]
    children: list["Node"] = field(default_factory=list)


def story_of(rows: Rows, *, placed_at: datetime, placed_by: str, remembered: Sequence[Entry] = ()) -> list[Entry]:
    """Return the story in order of time, with long silences told and repeated failures told once.

    `remembered` is told in place of messages that are no longer kept.
    """
    first = min([placed_at, *(message.created_at for message in rows.messages)])
    entries = [
        Entry("placed", first, "done", "request", f"{placed_by} placed the order", "Answered at once over the API.")
    ]
    entries += [_message_entry(message, rows) for message in rows.messages]
    entries += remembered
    entries += [_failure_entry(attempt, rows) for attempt in rows.attempts]
    entries += [_audit_entry(item) for item in rows.audit]
    entries += [_death_entry(death) for death in deaths_of(rows.deliveries, rows.audit)]
    entries += [_waiting_entry(delivery, rows) for delivery in rows.deliveries if delivery.state != "dead"]
    told = _folded(sorted(entries, key=lambda entry: entry.at))
    return [_with_gap(entry, before) for entry, before in zip(told, [told[0], *told], strict=False)]


def tree_of(rows: Rows) -> list[Node]:
    """Return the messages, each under the one that caused it; those without a known cause are roots."""
    readers = _readers(rows)
    nodes = {
        message.id: Node(
            message.id,
            message.kind,
            message.name,
            sentence_of(message.name, message.payload).word,
            message.created_at,
            tuple(readers[message.id]),
        )
        for message in rows.messages
    }
    roots: list[Node] = []
    for message in rows.messages:
        parent = nodes.get(message.causation_id) if message.causation_id else None
        (parent.children if parent else roots).append(nodes[message.id])
    return roots


def _message_entry(message: Message, rows: Rows) -> Entry:
    said = sentence_of(message.name, message.payload)
    command = message.kind == "command"
    return Entry(
        key=f"m-{message.id}",
        at=message.created_at,
        tone="waiting" if command else said.tone,
        icon=_icon(message, said),
        title=said.word,
        text=str(message.payload.get("reason", "")) if not command and said.tone in ("failed", "attention") else "",
        summary=message.name,
        facts=_message_facts(message, rows),
        minor=command,
    )


def _icon(message: Message, said: Words) -> str:
    if message.kind == "command":
        return "callback" if message.name in CALLBACKS else "message"
    return "message" if said.tone == "progress" else said.tone


def _message_facts(message: Message, rows: Rows) -> tuple[tuple[str, str], ...]:
    done = [
        (receipt.consumer, f"done in {receipt.duration_ms} ms{_tries(receipt.attempts)}")
        for receipt in rows.receipts
        if receipt.message_id == message.id
    ]
    payload = [(key, str(value)) for key, value in message.payload.items()]
    return (*done, *payload, ("message", str(message.id)), ("started by", message.actor or "nobody"))


def _failure_entry(attempt: Attempt, rows: Rows) -> Entry:
    asked = next((message for message in rows.messages if message.id == attempt.message_id), None)
    subject = sentence_of(asked.name, asked.payload).word if asked else attempt.consumer
    return Entry(
        key=f"a-{attempt.id}",
        at=attempt.at,
        tone="failed" if attempt.kind in ("permanent", "crash") else "attention",
        icon="failed" if attempt.kind in ("permanent", "crash") else "retry",
        title=_failed(attempt.number, attempt.number, attempt.kind),
        text=f"{subject}: {attempt.error}",
        summary=f"{attempt.error_class.rpartition('.')[2]} in {attempt.consumer}",
        facts=(("took", f"{attempt.duration_ms} ms"),) if attempt.duration_ms is not None else (),
        trace=attempt.traceback,
        open=not attempt.traceback,
        failure=Failure(
            (attempt.message_id, attempt.consumer, attempt.kind, attempt.error), attempt.number, attempt.number
        ),
    )


def _failed(first: int, last: int, kind: str) -> str:
    which = f"Attempt {first}" if first == last else f"Attempts {first} to {last}"
    return f"{which} failed. {FAILURE_KINDS.get(kind, kind)}."


def _folded(entries: Iterable[Entry]) -> list[Entry]:
    told: list[Entry] = []
    for entry in entries:
        before = told[-1].failure if told else None
        if before and entry.failure and before.what == entry.failure.what:
            again = replace(before, last=entry.failure.last)
            title = _failed(again.first, again.last, again.what[2])
            told[-1] = replace(told[-1], title=title, failure=again, trace=entry.trace, until=entry.at)
        else:
            told.append(entry)
    return told


def _audit_entry(item: AuditEntry) -> Entry:
    return Entry(
        key=f"s-{item.id}",
        at=item.at,
        tone="attention",
        icon="staff",
        title=f"{item.actor.removeprefix('staff:')}: {item.action.rpartition('.')[2].replace('_', ' ')}",
        text=item.reason,
        facts=(("handler", str(item.before["consumer"])),) if item.before and "consumer" in item.before else (),
    )


def _death_entry(death: Death) -> Entry:
    return Entry(
        key=f"d-{death.delivery}-{death.at.timestamp()}",
        at=death.at,
        tone="failed",
        icon="failed",
        title=_given_up(death.attempts, settled=death.until is not None),
        text=death.error,
        summary=death.consumer,
        facts=(("message", str(death.message_id)), ("attempts", str(death.attempts))),
    )


def _given_up(attempts: int, *, settled: bool = False) -> str:
    words = f"Given up after {attempts_in_words(attempts)}"
    return words if settled else f"{words}: an operator must look at it"


def _waiting_entry(delivery: Delivery, rows: Rows) -> Entry:
    words = reader_words(delivery, rows)
    return Entry(
        key=f"d-{delivery.id}",
        at=max(rows.now, delivery.enqueued_at),
        tone=words.tone,
        icon=words.tone,
        title=words.word,
        text=delivery.last_error,
        summary=delivery.consumer,
        facts=(("message", str(delivery.message_id)), ("attempts", str(delivery.attempts))),
    )


def reader_words(delivery: Delivery, rows: Rows) -> Words:
    """Return what an unfinished delivery is waiting for."""
    held = rows.held.get(delivery.consumer)
    if held and delivery.state in ("ready", "scheduled"):
        said = "asked us to slow down" if held.throttled else "does not answer"
        return Words("attention", f"{destination_of(held.destination)} {said}{_in(held.until, rows.now)}")
    match delivery.state:
        case "dead":
            return Words("failed", _given_up(delivery.attempts))
        case "parked":
            return Words("attention", "Set aside: no running release knows this message")
        case "leased":
            return Words("progress", "Waiting for the answer from outside")
        case "scheduled":
            return Words("waiting", _until(delivery, rows.now))
        case _:
            return Words("waiting", "In the queue: the next free worker takes it")


def _until(delivery: Delivery, now: datetime) -> str:
    cause = f"Waiting for {delivery.waiting_for}" if delivery.waiting_for else "Waiting to try again"
    return f"{cause}{_in(delivery.due_at, now)} (attempt {delivery.attempts + 1})"


def _in(moment: datetime | None, now: datetime) -> str:
    left = (moment - now).total_seconds() if moment else 0
    return f"; next try in {span_in_words(timedelta(seconds=left))}" if left >= 1 else "; next try now"


def _readers(rows: Rows) -> Mapping[UUID, list[Reader]]:
    readers: dict[UUID, list[Reader]] = defaultdict(list)
    for receipt in rows.receipts:
        discarded = receipt.outcome == "discarded"
        words = "discarded by an operator" if discarded else f"done in {receipt.duration_ms} ms"
        tone = "attention" if discarded else "done"
        readers[receipt.message_id].append(Reader(receipt.consumer, tone, words + _tries(receipt.attempts)))
    for delivery in rows.deliveries:
        said = reader_words(delivery, rows)
        readers[delivery.message_id].append(Reader(delivery.consumer, said.tone, said.word))
    return readers


def _tries(attempts: int) -> str:
    return f" after {attempts_in_words(attempts)}" if attempts > 1 else ""


def _with_gap(entry: Entry, before: Entry) -> Entry:
    silence = entry.at - (before.until or before.at)
    if silence < LONG_SILENCE:
        return entry
    return replace(entry, gap=f"{span_in_words(silence)} without news")


def span_in_words(span: timedelta) -> str:
    """Return a span of seconds or more in its two largest units."""
    seconds = int(span.total_seconds())
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // smaller} {small_unit}"
    return f"{seconds} s"
