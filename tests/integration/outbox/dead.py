"""Making dead letters the real way: through a handler that gives up."""

from uuid import UUID, uuid4

from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Note


def make_dead(drain, *numbers: int, behaviour: str = "permanent") -> list[Delivery]:
    """Send a note per number, let the engine fail at it, and return the dead letters in that order."""
    with unit_of_work():
        ids: list[UUID] = [send(Note(bench_id=uuid4(), number=number, behaviour=behaviour)) for number in numbers]
    drain()
    rows = {row.message_id: row for row in Delivery.objects.filter(state="dead")}
    return [rows[message_id] for message_id in ids]
