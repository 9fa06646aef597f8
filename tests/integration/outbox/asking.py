"""Words for the tests of the engine."""

from uuid import UUID, uuid4

from django.db import connection

from outbox.contracts import Command, Event
from outbox.models import Delivery
from outbox.publishing import publish, send, unit_of_work
from tests.lab.commands import Call, Single
from tests.lab.models import Effect

BENCH = uuid4()


def ask(*commands: Command) -> list[UUID]:
    """Send commands in one unit of work; return the messages' ids."""
    with unit_of_work():
        return [send(command) for command in commands]


def tell(*events: Event) -> list[UUID]:
    """Publish events in one unit of work; return the messages' ids."""
    with unit_of_work():
        return [publish(event) for event in events]


def call(number: int = 1, behaviour: str = "") -> Call:
    return Call(bench_id=BENCH, number=number, behaviour=behaviour)


def single(number: int = 1, behaviour: str = "") -> Single:
    return Single(bench_id=BENCH, number=number, behaviour=behaviour)


def sql(statement: str, *parameters: object) -> list[tuple]:
    """Run one statement past the engine."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def effects() -> list[str]:
    """What was done, in the order in which it was."""
    return list(Effect.objects.order_by("id").values_list("label", flat=True))


def states() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("state", flat=True))
