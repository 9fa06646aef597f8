"""Filling the queue in seconds: one message is sent as always, and the database makes the others after its rows."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Model

from outbox.models import Delivery, Message
from outbox.publishing import send, unit_of_work
from tests.bench.commands import Numbered

ITEMS = 20_000
BENCH = uuid4()
NOW = "now()"
PLAN = """
CREATE TEMPORARY TABLE bench_copy ON COMMIT DROP AS
SELECT number, moment, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
           substring(int8send((extract(epoch FROM moment) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
           'hex')::uuid AS id
FROM generate_series(1, {messages}) number, LATERAL (SELECT {moment} AS moment) at
"""
"""A random id becomes one of version 7: six bytes of time, and the two bits in which version 4 differs."""
COPY = """
INSERT INTO {table} ({columns})
SELECT {values} FROM bench_copy copy, {table} original WHERE original.{key} = %s ORDER BY copy.number
"""
MESSAGE = {
    "id": "copy.id",
    "correlation_id": "copy.id",
    "payload": "jsonb_set(original.payload, '{number}', to_jsonb(copy.number))",
    "created_at": "copy.moment",
}
RECEIPTS = """
INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms, finished_at)
SELECT id, %s, 1, 1, moment FROM bench_copy ORDER BY number
"""


def empty_tables() -> None:
    """Forget all messages, and have one untouched item for each number."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE outbox_message, outbox_delivery, outbox_receipt, bench_item")
        cursor.execute("INSERT INTO bench_item (id, touched) SELECT n, 0 FROM generate_series(1, %s) n", [ITEMS])


def fill(contract: type[Numbered], messages: int, moment: str = NOW, **changes: str) -> None:
    """Have `messages` of `contract` wait, numbered from 1, as if sent at `moment`: SQL that may use their `number`.

    `changes` are SQL for columns of their deliveries, where they shall not be ready.
    """
    with copies(contract, messages, moment) as original:
        delivery = {"message_id": "copy.id", **changes}
        _copy(Delivery, "message_id", original, delivery, without=["id"])


def fill_history(contract: type[Numbered], messages: int, consumer: str, moment: str) -> None:
    """Have `messages` of `contract` done by `consumer`, at `moment`."""
    with copies(contract, messages, moment), connection.cursor() as cursor:
        cursor.execute(RECEIPTS, [consumer])


@contextmanager
def copies(contract: type[Numbered], messages: int, moment: str) -> Iterator[UUID]:
    """Write `messages` in one transaction; give the one they were made after, which is gone at the end."""
    with unit_of_work() as unit, connection.cursor() as cursor:
        original = send(contract(bench_id=BENCH, number=1))
        unit.flush()
        cursor.execute(PLAN.format(messages=int(messages), moment=moment))
        _copy(Message, "id", original, MESSAGE)
        yield original
        cursor.execute("DELETE FROM outbox_delivery WHERE message_id = %s", [original])
        cursor.execute("DELETE FROM outbox_message WHERE id = %s", [original])


def _copy(
    model: type[Model], key: str, original: UUID, changes: Mapping[str, str], without: Collection[str] = ()
) -> None:
    """Insert a row for each of bench_copy: like that of the original, but for `changes`."""
    columns = [str(field.column) for field in model._meta.local_concrete_fields if field.column not in without]
    values = [changes.get(column, f"original.{column}") for column in columns]
    statement = COPY.format(table=model._meta.db_table, columns=", ".join(columns), values=", ".join(values), key=key)
    with connection.cursor() as cursor:
        cursor.execute(statement, [original])
