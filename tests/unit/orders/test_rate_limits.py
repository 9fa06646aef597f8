"""Spending from shared buckets in portions: what one process does with what it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rate_limits import Bucket, Meter, _network_of

TWO_HUNDRED = Bucket("customer", "c", 200, 200)
FIVE = Bucket("customer", "c", 5, 5)


class Shared:
    """The shared bucket, played by the test, and the clock."""

    def __init__(self, tokens: float) -> None:
        self.tokens, self.now, self.asked = tokens, 0.0, 0

    def take(self, bucket: Bucket) -> tuple[int, float]:
        self.asked += 1
        taken = min(bucket.portion, int(self.tokens))
        self.tokens -= taken
        return taken, self.tokens

    def meter(self) -> Meter:
        return Meter(self.take, lambda: self.now)


def test_the_shared_bucket_is_asked_once_per_tenth_of_a_seconds_worth():
    shared = Shared(200)
    meter = shared.meter()
    assert all(meter.spend(TWO_HUNDRED).allowed for _ in range(200))
    assert shared.asked == 10
    assert not meter.spend(TWO_HUNDRED).allowed


def test_a_small_limit_is_counted_one_by_one():
    shared = Shared(5)
    meter = shared.meter()
    assert [meter.spend(FIVE).remaining for _ in range(5)] == [4, 3, 2, 1, 0]
    assert shared.asked == 5


def test_who_was_refused_is_not_asked_for_again_before_there_can_be_something():
    shared = Shared(0.5)
    meter = shared.meter()
    first = meter.spend(FIVE)
    assert (first.allowed, first.wait) == (False, pytest.approx(0.1))
    assert not any(meter.spend(FIVE).allowed for _ in range(100))
    assert shared.asked == 1
    shared.now, shared.tokens = 0.11, 1.05
    assert meter.spend(FIVE).allowed


def test_what_was_taken_and_not_spent_within_a_second_is_given_up():
    shared = Shared(200)
    meter = shared.meter()
    meter.spend(TWO_HUNDRED)
    shared.now, shared.tokens = 1.0, 0
    assert not meter.spend(TWO_HUNDRED).allowed


def test_buckets_of_different_subjects_are_different():
    shared = Shared(1)
    meter = shared.meter()
    assert meter.spend(FIVE).allowed
    assert not meter.spend(Bucket("customer", "other", 5, 5)).allowed
    shared.tokens = 1
    assert meter.spend(Bucket("customer", "third", 5, 5)).allowed


@given(st.integers(1, 1_000), st.lists(st.tuples(st.integers(0, 1), st.floats(0, 0.3)), max_size=80))
def test_two_processes_together_never_spend_more_than_there_was(rate, steps):
    bucket = Bucket("customer", "c", rate, rate)
    shared = Shared(rate)
    processes = [shared.meter(), shared.meter()]
    spent = 0
    for which, pause in steps:
        shared.now += pause
        shared.tokens = min(rate, shared.tokens + rate * pause)
        spent += processes[which].spend(bucket).allowed
    assert spent <= rate + rate * shared.now + 0.001


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"), ("2001:db8::1", "2001:db8::/64"),
     ("2001:db8::ffff:1", "2001:db8::/64"), ("unix:", "unix:"), ("", "")],
)  # fmt: skip
def test_an_address_is_what_one_caller_has_for_itself(address, network):
    assert _network_of(address) == network
