"""Backoff: grows, never beyond its cap, never at once, and ends."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.retry import RetryPolicy

pytestmark = pytest.mark.requirement("M10")
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 50),
    base_seconds=st.floats(0.001, 100),
    cap_seconds=st.floats(0.001, 100_000),
)


@given(POLICIES, st.integers(1, 100_000))
def test_every_wait_is_between_a_tenth_of_the_ceiling_and_the_ceiling(policy, attempt):
    ceiling = timedelta(seconds=policy.ceiling(attempt))
    microsecond = timedelta(microseconds=1)
    assert ceiling / 10 - microsecond <= policy.delay(attempt) <= ceiling + microsecond
    assert policy.ceiling(attempt) <= policy.cap_seconds


@given(POLICIES, st.integers(1, 10_000))
def test_the_ceiling_never_falls(policy, attempt):
    assert policy.ceiling(attempt) <= policy.ceiling(attempt + 1)


def test_the_ceiling_doubles_until_its_cap():
    policy = RetryPolicy(base_seconds=2, cap_seconds=20)
    assert [policy.ceiling(attempt) for attempt in range(1, 7)] == [2, 4, 8, 16, 20, 20]


def test_waits_are_spread_so_that_failures_do_not_return_together():
    policy = RetryPolicy(base_seconds=100)
    assert len({policy.delay(1) for _ in range(50)}) > 40


@given(POLICIES, st.integers(1, 100))
def test_the_last_attempt_is_the_one_with_the_declared_number(policy, attempt):
    assert policy.is_last(attempt) is (attempt >= policy.attempts)
