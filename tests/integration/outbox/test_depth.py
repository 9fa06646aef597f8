"""Queue and message counts: exact where counting is quick, else as a worker counted; no look takes a long count."""

import json
from dataclasses import replace

import pytest
from django.db import connection

from outbox import control, depth, stats
from outbox.engine.shift import Shift, never
from outbox.models import Delivery, Rollup
from outbox.publishing import unit_of_work
from tests.integration.outbox.asking import ask, call, single, sql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M32")]
FEW = 5


@pytest.fixture
def long_queue(transactional_db, monkeypatch):
    """More deliveries, of two consumers and in several states, than are counted at once."""
    monkeypatch.setattr(depth, "COUNTED_AT_ONCE", FEW)
    ask(*(single(number) for number in range(10)), call(1), call(2))
    sql("UPDATE outbox_delivery SET enqueued_at = enqueued_at - interval '100 s'")
    singles = list(Delivery.objects.filter(consumer="lab.single").order_by("id").values_list("id", flat=True))
    sql("UPDATE outbox_delivery SET state = 'dead', died_at = now() WHERE id = ANY(%s)", singles[:3])
    sql("UPDATE outbox_delivery SET state = 'scheduled', due_at = now() + interval '1 h' WHERE id = %s", singles[3])


def waiting() -> dict[str, int]:
    return {queue.consumer: queue.ready for queue in stats.queue_depth()}


def make_counts_older(seconds: int) -> None:
    sql("UPDATE outbox_rollup SET value = value - %s WHERE measure = 'depth_counted'", seconds * 1000)


def test_what_was_written_down_says_the_same_as_counting(long_queue):
    counted = stats.queue_depth()
    assert [queue.counted_seconds_ago for queue in counted] == [0, 0]
    depth.write_down()
    written = stats.queue_depth()
    ages = {queue.consumer: queue.oldest_seconds for queue in written}
    assert [replace(queue, oldest_seconds=ages[queue.consumer]) for queue in counted] == [
        replace(queue, counted_seconds_ago=0.0) for queue in written
    ]
    assert all(100 <= age < 160 for age in ages.values())


def test_a_long_queue_is_not_counted_again_by_those_who_look_and_they_are_told_how_old_it_is(long_queue):
    depth.write_down()
    ask(call(3))
    make_counts_older(seconds=7)
    assert waiting() == {"lab.call": 2, "lab.single": 6}
    assert all(7 <= queue.counted_seconds_ago < 15 for queue in stats.queue_depth())


def test_counts_that_are_too_old_are_not_shown(long_queue):
    depth.write_down()
    ask(call(3))
    make_counts_older(seconds=16)
    assert waiting() == {"lab.call": 3, "lab.single": 6}


def test_the_next_count_forgets_what_is_no_longer_there(long_queue):
    depth.write_down()
    sql("DELETE FROM outbox_delivery WHERE consumer = 'lab.call'")
    depth.write_down()
    assert waiting() == {"lab.single": 6}


def test_looking_reads_no_more_rows_than_are_counted_at_once(long_queue, statements):
    depth.write_down()
    statements.clear()
    stats.queue_depth()
    long, written = statements
    assert "outbox_delivery" not in written
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {long}", {"few": FEW})
        (plan,) = cursor.fetchone()
    assert rows_read(json.loads(plan) if isinstance(plan, str) else plan) == FEW + 1


def rows_read(plan: object) -> int:
    """Return the rows that the plan's scans of deliveries gave."""
    if isinstance(plan, list):
        return sum(rows_read(part) for part in plan)
    if not isinstance(plan, dict):
        return 0
    own = int(plan["Actual Rows"]) if plan.get("Relation Name") == "outbox_delivery" else 0
    return own + sum(rows_read(part) for part in plan.values())


def test_a_short_queue_is_not_written_down(transactional_db):
    ask(call(1))
    depth.write_down()
    assert not Rollup.objects.filter(measure__startswith="depth_").exists()


def test_the_first_worker_writes_a_long_queue_down(long_queue):
    with unit_of_work():
        control.pause(["lab.single", "lab.call"], "so that it stays long")
    worker = Shift()
    worker.run(never, seconds=0.05)
    worker.me.sign_out()
    assert Rollup.objects.filter(measure="depth_counted").exists()


def test_the_oldest_due_leaves_out_those_that_are_paused(long_queue):
    sql("UPDATE outbox_delivery SET enqueued_at = now() - interval '500 s' WHERE consumer = 'lab.call'")
    depth.write_down()
    assert 500 <= stats.oldest_due_seconds() < 560
    with unit_of_work():
        control.pause(["lab.call"], "nobody can do it")
    assert 100 <= stats.oldest_due_seconds() < 160
