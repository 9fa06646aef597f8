"""The low-water mark: where claims begin while there is a backlog."""

import pytest

from outbox.engine.low_water import BEGINNING, FULL_LOOK_SECONDS, TRAIL_SECONDS, LowWater, Place

pytestmark = pytest.mark.requirement("M7")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def claim(marks: LowWater, first: int) -> Place:
    """Claim a full batch whose first delivery is `first`; return where it began."""
    start = marks.start("one")
    marks.claimed("one", start, Place(0, first))
    return start


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def marks(clock) -> LowWater:
    return LowWater(clock)


def test_the_mark_trails_behind_what_is_claimed(marks, clock):
    begun = []
    for first in (10, 20, 30):
        begun.append(claim(marks, first))
        clock.now += TRAIL_SECONDS
    assert [*begun, marks.start("one")] == [BEGINNING, BEGINNING, Place(0, 10), Place(0, 20)]


def test_a_claim_moments_later_begins_where_the_one_before_did(marks, clock):
    claim(marks, 10)
    clock.now += TRAIL_SECONDS
    claim(marks, 20)
    clock.now += TRAIL_SECONDS / 10
    assert [claim(marks, first) for first in (30, 40)] == [Place(0, 10), Place(0, 10)]


def test_once_a_second_a_claim_begins_at_the_beginning(marks, clock):
    claim(marks, 10)
    clock.now += TRAIL_SECONDS
    claim(marks, 20)
    clock.now += FULL_LOOK_SECONDS / 2
    assert claim(marks, 30) == Place(0, 10)
    clock.now += FULL_LOOK_SECONDS / 2
    assert claim(marks, 5) == BEGINNING
    assert marks.start("one") != BEGINNING, "and the next does not"


def test_each_consumer_has_its_own_mark_and_loses_it_with_its_backlog(marks, clock):
    claim(marks, 10)
    clock.now += TRAIL_SECONDS
    claim(marks, 20)
    assert marks.start("other") == BEGINNING
    assert marks.start("one") == Place(0, 10)
    marks.forget("one")
    assert marks.start("one") == BEGINNING
