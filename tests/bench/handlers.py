import time
from collections.abc import Sequence

from django.db import connection

from outbox.consumers import Incoming, Received, consumer, consumer_of_many, external_consumer
from outbox.destinations import Destination
from outbox.http import Answer, Client
from outbox.publishing import send
from tests.bench import work
from tests.bench.commands import Call, Forward, Forwarded, Many, Noop, Placed, Stamp, Touch, Update, Visit
from tests.bench.models import Pickup

PLACES = 20
client = Client()


@consumer(Noop, name="bench.noop", batch=100)
def noop(command: Noop, message: Incoming) -> None:
    pass


@consumer(Update, name="bench.update", batch=100)
def update(command: Update, message: Incoming) -> None:
    work.update(command.number)


@consumer(Touch, name="bench.touch", batch=100)
def touch(command: Touch, message: Incoming) -> None:
    work.touch(command.number)


@consumer_of_many(Many, name="bench.many", batch=100)
def many(received: Sequence[Received]) -> None:
    numbers = [one.payload.number for one in received]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bench_item SET touched = touched + 1 WHERE id = ANY(%s)", (numbers,))


@consumer(Forward, name="bench.forward", batch=100)
def forward(command: Forward, message: Incoming) -> None:
    send(Forwarded(bench_id=command.bench_id, number=command.number))


@consumer(Forwarded, name="bench.forwarded", batch=100)
def forwarded(command: Forwarded, message: Incoming) -> None:
    pass


@external_consumer(Call, name="bench.call", destination="bench", concurrency=32)
class Calling:
    def prepare(self, command: Call, message: Incoming) -> int:
        return command.number

    def call(self, plan: int) -> int:
        return plan

    def record(self, command: Call, message: Incoming, plan: int, result: int) -> None:
        pass


@external_consumer(Visit, name="bench.visit", destination=Destination("bench.slow", concurrency=PLACES))
class Visiting:
    def prepare(self, command: Visit, message: Incoming) -> str:
        return command.url

    def call(self, plan: str) -> Answer:
        return client.exchange("GET", plan)

    def record(self, command: Visit, message: Incoming, plan: str, result: Answer) -> None:
        assert result.status == 200


@consumer(Stamp, name="bench.stamp")
def stamp(command: Stamp, message: Incoming) -> None:
    began = time.time()
    Pickup.objects.create(number=command.number, at=began)


@consumer(Placed, name="bench.placed", batch=20)
def placed(command: Placed, message: Incoming) -> None:
    pass
