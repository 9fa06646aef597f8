"""Old code and new code side by side on one database, as during a deploy: nothing is lost, nothing is done twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from outbox.models import Attempt, Delivery, Receipt, Worker
from tests.faults.conftest import database_url
from tests.lab.models import Effect
from tests.runtime.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8", "M19", "M42"),
    pytest.mark.usefixtures("invariants_hold"),
]


class Release:
    """A process of one release, web and worker in one."""

    def __init__(self, number: str) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LAB_RELEASE": number,
            "TANDEM_RELEASE": number,
        }
        command = [sys.executable, "-m", "tests.faults.one_release"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def tell(self, **order: object) -> None:
        """Give an order and wait until it is carried out."""
        print(json.dumps(order), file=self.process.stdin, flush=True)
        while (line := self.process.stdout.readline()) != "done\n":
            assert line, "the process has ended"

    def publish(self, numbers: Sequence[int]) -> None:
        self.tell(publish=list(numbers))

    def work(self) -> None:
        self.tell(work=True)

    def rest(self) -> None:
        self.tell(work=False)

    @property
    def worker(self) -> Worker | None:
        return Worker.objects.filter(pid=self.process.pid).first()


@pytest.fixture
def releases(transactional_db) -> Iterator[tuple[Release, Release]]:
    """The old and the new one, neither of which works yet."""
    old, new = Release("1"), Release("2")
    yield old, new
    for one in (old, new):
        one.process.stdin.close()
        assert one.process.wait(30) == 0


def effects(label: str) -> Counter:
    return Counter(Effect.objects.filter(label=label).values_list("number", flat=True))


def states(**wanted: str) -> Callable[[], bool]:
    """Whether the deliveries of each consumer all are in the wanted state."""

    def found() -> bool:
        standing = set(Delivery.objects.values_list("consumer", "state"))
        return standing == {(f"lab.{name}", state) for name, state in wanted.items()}

    return found


def all_done() -> bool:
    return not Delivery.objects.exists()


def test_an_old_worker_parks_what_a_new_web_says_and_a_new_worker_does_it(releases):
    old, new = releases
    old.work()
    new.publish(range(1, 21))
    old.publish([100])
    eventually(states(weigh="parked", insure="ready"), 30)
    assert effects("weighed") == Counter([100]), "the old worker goes on with what it knows"
    parked = Attempt.objects.filter(kind="parked")
    assert set(parked.values_list("worker_id", flat=True)) == {old.worker.id}
    assert Counter(parked.values_list("message_id", flat=True)).most_common(1)[0][1] == 1
    new.work()
    eventually(all_done, 30)
    assert effects("weighed") == Counter([100, *range(1, 21)])
    assert effects("missed") == Counter([5, 10, 15, 20])
    assert effects("insured") == Counter(range(1, 21))
    assert Receipt.objects.filter(attempts__gt=1).count() == 0, "being parked burns no attempt"


def test_a_new_worker_does_what_an_old_web_says(releases):
    old, new = releases
    old.publish(range(1, 21))
    new.work()
    eventually(all_done, 30)
    assert effects("weighed") == Counter(range(1, 21)), "brought up to the version that the new release reads"


def test_while_both_work_and_both_speak_everything_is_done_once_and_parked_at_most_once(releases):
    old, new = releases
    old.work()
    new.work()
    for first in range(1, 81, 20):
        new.publish(range(first, first + 10))
        old.publish(range(first + 10, first + 20))
    eventually(all_done, 30)
    assert effects("weighed") == Counter(range(1, 81))
    assert effects("insured") == Counter(number for number in range(1, 81) if (number - 1) % 20 < 10)
    parked = Attempt.objects.filter(kind="parked").values_list("message_id", flat=True)
    assert max(Counter(parked).values(), default=0) <= 1, "no message goes to and fro between the releases"
    old.rest()
    new.publish([200])
    eventually(all_done, 30)
    assert effects("weighed")[200] == 1
