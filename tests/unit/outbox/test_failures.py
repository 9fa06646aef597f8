"""Failures: how each is judged, and which belong to one cause."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError, OperationalError
from hypothesis import given
from hypothesis import strategies as st

from outbox.engine.failures import fingerprint, is_contention, judge, policy_of
from outbox.errors import InvalidPayload, UnknownContract
from outbox.outcomes import Permanent, Snooze, Throttled, Transient
from outbox.retry import Kind, RetryPolicy, by_type

POLICY = RetryPolicy(attempts=3, base_seconds=10, cap_seconds=60)


def session_ended(sqlstate: str | None) -> Exception:
    """Return the error of a session that the server ended with `sqlstate`, or without a word."""
    error = OperationalError("gone")
    error.__cause__ = psycopg.errors.lookup(sqlstate)() if sqlstate else psycopg.OperationalError()
    return error


def database_error(sqlstate: str | None, kind: type[Exception] = OperationalError) -> Exception:
    error = kind("aborted")
    error.__cause__ = None if sqlstate is None else type("Cause", (Exception,), {"sqlstate": sqlstate})()
    return error


@pytest.mark.requirement("M10")
@pytest.mark.parametrize(
    ("error", "attempt", "kind", "state", "counts"),
    [
        (Transient("down"), 1, "transient", "scheduled", True),
        (Transient("down"), 3, "transient", "dead", True),
        (Transient("down"), 9, "transient", "dead", True),
        (Transient("no answer", unknown=True), 2, "unknown", "scheduled", True),
        (Transient("no answer", unknown=True), 3, "unknown", "dead", True),
        (ZeroDivisionError(), 1, "transient", "scheduled", True),
        (ZeroDivisionError(), 3, "transient", "dead", True),
        (Permanent("never"), 1, "permanent", "dead", True),
        (InvalidPayload("does not fit"), 1, "permanent", "dead", True),
        (UnknownContract("not yet"), 3, "parked", "parked", False),
        (Snooze(timedelta(hours=2), "later"), 3, "snoozed", "scheduled", False),
        (Throttled("slow down", retry_after=7.5), 3, "throttled", "scheduled", False),
        (database_error("40P01"), 3, "contended", "scheduled", False),
        (database_error("40001"), 3, "contended", "scheduled", False),
        (database_error("55P03"), 3, "contended", "scheduled", False),
        (session_ended("57P01"), 3, "interrupted", "scheduled", False),
        (session_ended("08006"), 3, "interrupted", "scheduled", False),
        (session_ended(None), 3, "interrupted", "scheduled", False),
        (session_ended("53200"), 1, "transient", "scheduled", True),
        (database_error("57014"), 1, "transient", "scheduled", True),
        (database_error(None), 1, "transient", "scheduled", True),
        (database_error("23505", IntegrityError), 1, "transient", "scheduled", True),
    ],
)
def test_each_failure_has_its_verdict(error, attempt, kind, state, counts):
    verdict = judge(error, attempt, POLICY)
    assert (verdict.kind, verdict.state, verdict.counts) == (kind, state, counts)
    assert verdict.final is (state == "dead")
    assert (verdict.delay is not None) is (state == "scheduled")


class Broken(Exception):
    """An error that carries a wait of its own, or what only looks like one."""

    retry_after: object = None


class VeryBroken(Broken):
    pass


@pytest.mark.requirement("M10")
@pytest.mark.parametrize(
    ("kind", "verdict", "state", "counts", "unknown"),
    [
        (Kind.TRANSIENT, "transient", "scheduled", True, False),
        (Kind.UNKNOWN, "unknown", "scheduled", True, True),
        (Kind.PERMANENT, "permanent", "dead", True, False),
        (Kind.THROTTLED, "throttled", "scheduled", False, False),
        (None, "transient", "scheduled", True, True),
    ],
)
def test_a_policy_classifies_what_is_no_outcome(kind, verdict, state, counts, unknown):
    policy = replace(POLICY, classify=lambda _error: kind)
    found = judge(Broken(), 1, policy)
    assert (found.kind, found.state, found.counts, found.unknown) == (verdict, state, counts, unknown)
    assert judge(Permanent("never"), 1, policy).kind == "permanent", "what was said in so many words stands"
    assert judge(database_error("40P01"), 1, policy).kind == "contended"


@pytest.mark.parametrize(("said", "least", "most"), [(7.5, 7.5, 7.5), (None, 1, 10), ("soon", 1, 10), (-1, 1, 10)])
def test_a_throttled_error_waits_as_long_as_it_says_or_as_a_retry_would(said, least, most):
    error = Broken()
    error.retry_after = said
    delay = judge(error, 1, replace(POLICY, classify=by_type({Broken: Kind.THROTTLED}))).delay
    assert delay is not None
    assert least <= delay.total_seconds() <= most


def test_the_nearest_class_decides_and_an_unknown_one_is_tried_again():
    policy = replace(POLICY, classify=by_type({Broken: Kind.TRANSIENT, VeryBroken: Kind.PERMANENT}))
    assert judge(Broken(), 1, policy).kind == "transient"
    assert judge(VeryBroken(), 1, policy).kind == "permanent"
    assert judge(KeyError(), 1, policy).unknown
    assert policy == replace(POLICY, classify=by_type({Broken: Kind.TRANSIENT, VeryBroken: Kind.PERMANENT})), "a value"


def test_a_classification_that_stumbles_hides_no_failure():
    def stumble(_error: BaseException) -> Kind:
        raise ZeroDivisionError

    assert judge(Broken(), 1, replace(POLICY, classify=stumble)).kind == "transient"


def test_a_snooze_and_a_throttle_wait_as_long_as_they_were_told():
    assert judge(Snooze(timedelta(hours=2), "later"), 1, POLICY).delay == timedelta(hours=2)
    assert judge(Throttled("slow down", retry_after=7.5), 1, POLICY).delay == timedelta(seconds=7.5)


@given(st.integers(1, 2))
def test_a_retry_waits_within_the_policy(attempt):
    ceiling = timedelta(seconds=POLICY.ceiling(attempt))
    delay = judge(Transient("down"), attempt, POLICY).delay
    assert delay is not None
    assert ceiling / 10 <= delay <= ceiling


@given(st.integers(1, 1000))
def test_contention_is_over_soon_however_often_it_happened(attempt):
    delay = judge(database_error("40P01"), attempt, POLICY).delay
    assert delay is not None
    assert timedelta(milliseconds=100) <= delay <= timedelta(milliseconds=550)


def test_only_the_database_is_contended():
    pretender = RuntimeError()
    pretender.__cause__ = type("Cause", (Exception,), {"sqlstate": "40P01"})()
    assert not is_contention(pretender)


def raised(text: str, kind: type[Exception] = ValueError) -> Exception:
    try:
        raise kind(text)
    except kind as error:
        return error


@pytest.mark.requirement("M27")
@given(st.integers(0), st.integers(0))
def test_numbers_and_ids_do_not_make_another_cause(one, two):
    first = raised(f"order {uuid4()} line {one}: ref {uuid4().hex}")
    second = raised(f"order {uuid4()} line {two}: ref {uuid4().hex}")
    assert fingerprint("c", first) == fingerprint("c", second)


@pytest.mark.requirement("M27")
def test_another_consumer_class_text_or_place_is_another_cause():
    def elsewhere() -> Exception:
        try:
            raise ValueError("order 1 failed")
        except ValueError as error:
            return error

    base = raised("order 1 failed")
    others = [
        fingerprint("other", base),
        fingerprint("c", raised("order 1 failed", KeyError)),
        fingerprint("c", raised("line 1 failed")),
        fingerprint("c", elsewhere()),
    ]
    assert len({fingerprint("c", base), *others}) == 5


def test_a_failure_without_a_traceback_has_a_fingerprint_too():
    assert fingerprint("c", ValueError("x")) == fingerprint("c", ValueError("x"))
    assert len(fingerprint("c", ValueError("x"))) == 16


def test_a_consumer_without_a_policy_follows_the_settings(settings):
    settings.MAX_ATTEMPTS, settings.BACKOFF_CAP_SECONDS = 4, 30
    assert policy_of(SimpleNamespace(retry=None)) == RetryPolicy(attempts=4, cap_seconds=30)  # type: ignore[arg-type]
    assert policy_of(SimpleNamespace(retry=POLICY)) is POLICY  # type: ignore[arg-type]
