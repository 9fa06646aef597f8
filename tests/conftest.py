"""What every test may use, and the table of requirements that the suite ends with."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from outbox.engine import shift
from outbox.invariants import verify
from outbox.models import Delivery

pytest_plugins = ["tests.reporting"]

# How long an example takes says how busy the machine is, and nothing about the rule.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

KEPT = ("django_migrations", "django_content_type", "auth_permission")
EMPTY = f"""
DO $$
DECLARE name text; filled text[] := '{{}}'; found boolean;
BEGIN
    FOR name IN SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                  AND c.relname NOT IN {KEPT}
    LOOP
        EXECUTE 'SELECT EXISTS (SELECT 1 FROM ' || name || ')' INTO found;
        IF found THEN filled := filled || name; END IF;
    END LOOP;
    IF filled <> '{{}}' THEN EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' CASCADE'; END IF;
END $$
"""
UNFINISHED = ("ready", "scheduled", "leased", "isolated")


def _empty_what_was_filled(_case: TransactionTestCase) -> None:
    """Stand in for Django's flush, which truncates every table and makes all permissions anew: 0.4 s a test."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)


TransactionTestCase._fixture_teardown = _empty_what_was_filled


@pytest.fixture
def drain(transactional_db, settings) -> Iterator[Callable[..., None]]:
    """Work in this process, through the real engine, until nothing is left to do (or `until` says so).

    It looks around all the time, since tests change rows without a ring.
    """
    settings.POLL_SECONDS = 0.05
    worker = shift.Shift()

    def work(until: Callable[[], bool] | None = None, seconds: float = 20.0) -> None:
        done = until or (lambda: not Delivery.objects.filter(state__in=UNFINISHED).exists())
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                left = list(Delivery.objects.values("consumer", "state", "attempts", "last_error", "waiting_for"))
                pytest.fail(f"not done after {seconds} s; left: {left}")
            worker.run(shift.never, seconds=0.05)

    yield work
    worker.me.sign_out()
    worker.abandon()


@pytest.fixture
def invariants_hold(transactional_db) -> Iterator[None]:
    """Check every invariant when the test is over."""
    yield
    broken = [verdict for verdict in verify() if verdict.violations]
    assert not broken, broken


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Collect the SQL statements of this thread's connection."""
    seen: list[str] = []

    def collect(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(collect):
        yield seen


@pytest.fixture
def grouped() -> Callable[[list[tuple]], dict]:
    """Group pairs by their first element."""

    def group(pairs: list[tuple]) -> dict:
        found = defaultdict(list)
        for key, value in pairs:
            found[key].append(value)
        return dict(found)

    return group
