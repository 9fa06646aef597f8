"""Backoff: grows, never beyond its cap, never at once, and ends."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.outcomes import retry_after, snooze
from outbox.retry import RetryPolicy

pytestmark = pytest.mark.requirement("M10")
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 50),
    base_seconds=st.floats(0.001, 100),
    cap_seconds=st.floats(0.001, 100_000),
    jitter=st.floats(0, 1),
)


@given(POLICIES, st.integers(1, 100_000))
def test_every_wait_is_between_the_ceiling_and_what_jitter_leaves_of_it(policy, attempt):
    ceiling = timedelta(seconds=policy.ceiling(attempt))
    microsecond = timedelta(microseconds=1)
    assert ceiling * (1 - policy.jitter) - microsecond <= policy.delay(attempt) <= ceiling + microsecond
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


def test_the_usual_jitter_leaves_a_tenth_and_none_leaves_all():
    assert min(RetryPolicy(base_seconds=100).delay(1) for _ in range(200)) >= timedelta(seconds=10)
    assert RetryPolicy(base_seconds=100, jitter=0).delay(1) == timedelta(seconds=100)


def test_the_span_ends_at_the_deadline():
    policy = RetryPolicy(attempts=4, base_seconds=10)
    assert policy.span() == timedelta(seconds=70)
    assert replace(policy, deadline=timedelta(seconds=30)).span() == timedelta(seconds=30)
    assert replace(policy, deadline=timedelta(hours=1)).span() == timedelta(seconds=70)


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"jitter": 1.1}, {"jitter": -0.1}, {"deadline": timedelta(0)}])
def test_a_policy_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match=r"policy|deadline"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("put_off", [snooze, retry_after])
def test_nothing_is_put_off_to_the_past(put_off):
    with pytest.raises(ValueError, match="later"):
        put_off(timedelta(seconds=-1), "why")
