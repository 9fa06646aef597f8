import time

from outbox.consumers import Incoming, consumer
from tests.bench import work
from tests.bench.commands import Stamp, Touch
from tests.bench.models import Pickup


@consumer(Touch, name="bench.touch", batch=100)
def touch(command: Touch, message: Incoming) -> None:
    work.touch(command.number)


@consumer(Stamp, name="bench.stamp")
def stamp(command: Stamp, message: Incoming) -> None:
    began = time.time()
    Pickup.objects.create(number=command.number, at=began)
