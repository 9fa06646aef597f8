"""A message takes the process along that handles it: it is set aside, its neighbours are done, others go on."""

import itertools
from collections import Counter
from uuid import uuid4

import pytest

from outbox.models import Attempt, Delivery, Receipt
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Call, Note, Single
from tests.lab.models import Effect
from tests.runtime.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8", "M15"),
    pytest.mark.usefixtures("invariants_hold"),
]
CRASHES = 3
PATIENCE = 60


def send_batch(kind: type[Note] | type[Call], poison: str) -> list:
    """Send ten, the fifth of which is poisonous."""
    with unit_of_work():
        return [send(kind(bench_id=uuid4(), number=n, behaviour=poison if n == 4 else "")) for n in range(10)]


def keep_others_busy(poisoned: object) -> list[int]:
    """Send others their work, one by one, for as long as the poison is about; return what was done meanwhile."""
    done = []
    for number in itertools.count():
        with unit_of_work():
            other = send(Single(bench_id=uuid4(), number=number))
        eventually(lambda sent=other: Receipt.objects.filter(message_id=sent).exists(), PATIENCE)
        if Delivery.objects.filter(message_id=poisoned, state="dead").exists():
            return done
        done.append(number)
    raise AssertionError("it is about for ever")


def assert_set_aside(ids: list, label: str, kinds: set[str]) -> Delivery:
    """The poison is a dead letter, its neighbours and all they led to are done once; return the dead letter."""
    eventually(lambda: not Delivery.objects.exclude(state="dead").exists(), PATIENCE)
    dead = Delivery.objects.get()
    assert dead.message_id == ids[4]
    effects = Effect.objects.filter(label=label).values_list("message_id", flat=True)
    assert Counter(effects) == Counter([message_id for message_id in ids if message_id != ids[4]])
    attempts = list(Attempt.objects.filter(message_id=ids[4]).values_list("kind", flat=True))
    assert len(attempts) >= CRASHES
    assert set(attempts) <= kinds
    assert set(Attempt.objects.exclude(message_id=ids[4]).values_list("kind", flat=True)) <= {"crash"}
    return dead


@pytest.mark.parametrize(
    "poison",
    ["segfault", pytest.param("die", marks=pytest.mark.slow), pytest.param("oom_killed", marks=pytest.mark.slow)],
)
def test_what_kills_its_worker_is_set_aside_after_three_crashes_its_neighbours_done_and_others_go_on(cluster, poison):
    ids = send_batch(Note, poison)
    assert keep_others_busy(ids[4]), "somebody else's work was done while the poison was about"
    dead = assert_set_aside(ids, "note", {"crash"})
    assert dead.crashes == CRASHES
    assert Effect.objects.filter(label="noted").count() == 9


@pytest.mark.parametrize("poison", ["die", pytest.param("segfault", marks=pytest.mark.slow)])
def test_a_call_that_kills_its_worker_is_set_aside_and_the_calls_beside_it_are_made(cluster, poison):
    ids = send_batch(Call, poison)
    assert keep_others_busy(ids[4])
    assert assert_set_aside(ids, "answer", {"crash"}).crashes == CRASHES


@pytest.mark.parametrize(("kind", "label"), [(Note, "note"), pytest.param(Call, "answer", marks=pytest.mark.slow)])
def test_what_eats_all_memory_its_process_may_have_is_set_aside_and_its_neighbours_are_done(cluster, kind, label):
    """Whether the handler is told by an exception or the process does not survive it."""
    ids = send_batch(kind, "fill_memory")
    keep_others_busy(ids[4])
    assert_set_aside(ids, label, {"crash", "transient"})
