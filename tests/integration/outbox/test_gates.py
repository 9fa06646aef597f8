"""The gate before a destination: limits hold over all workers, and are counted in one statement."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from outbox import breakers, gates, stats
from outbox.consumers import ExternalConsumer, external_consumer, find
from outbox.destinations import Destination, RetryBudget
from outbox.errors import ConsumerConflict
from outbox.gates import Grant
from outbox.models import Attempt, Breaker, Delivery, Receipt, Worker
from tests.integration.outbox.asking import ask, call, effects, sql
from tests.lab import handlers
from tests.lab.commands import Call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M11")]
LAB = "lab"


def calling(destination: Destination, **changes: object) -> ExternalConsumer:
    """lab.call as if its destination had been declared with these limits."""
    entry = find("lab.call")
    assert isinstance(entry, ExternalConsumer)
    return replace(entry, calls=replace(destination, name=LAB), **changes)


@pytest.fixture
def workers(transactional_db) -> list[UUID]:
    """Two workers that have signed in."""
    breakers.register_destinations()
    names = [uuid7(), uuid7()]
    for name in names:
        Worker.objects.create(id=name, host="elsewhere", pid=1, lock=1)
    return names


def take(entry: ExternalConsumer, me: UUID, in_flight: int = 0, want: int = 32) -> Grant:
    return gates.ask(entry, me, Counter({entry.name: in_flight}), want=want, cap=entry.concurrency)


def granted(entry: ExternalConsumer, me: UUID, in_flight: int = 0, want: int = 32) -> int:
    return take(entry, me, in_flight, want).calls


def backlog(count: int, *, attempts: int = 0) -> None:
    ids = ask(*(call(number) for number in range(count)))
    sql("UPDATE outbox_delivery SET attempts = %s WHERE message_id = ANY(%s)", attempts, ids)


def seconds_pass(seconds: float) -> None:
    sql("UPDATE outbox_breaker SET reckoned_at = reckoned_at - make_interval(secs => %s)", seconds)


def test_no_more_is_granted_than_waits_in_the_queue(workers):
    entry = calling(Destination(LAB, concurrency=10))
    assert granted(entry, workers[0]) == 0
    backlog(3)
    assert granted(entry, workers[0]) == 3
    assert Breaker.objects.get(destination=LAB).held == {str(workers[0]): {"lab.call": 3}}


@pytest.mark.requirement("M17")
def test_calls_in_flight_are_limited_over_all_workers_together(workers):
    entry, (first, second) = calling(Destination(LAB, concurrency=10)), workers
    backlog(30)
    assert granted(entry, first, want=6) == 6
    refused = take(entry, second)
    assert refused.calls == 4
    assert (take(entry, second, 4).calls, take(entry, second, 4).retry_in) == (0, gates.LOOK_AGAIN_SECONDS)
    assert granted(entry, first, in_flight=2) == 4, "four of its calls have ended"


@pytest.mark.requirement("M17")
def test_a_consumer_has_a_limit_of_its_own_within_its_destinations(workers):
    entry, other = calling(Destination(LAB, concurrency=10), concurrency=3), calling(Destination(LAB, concurrency=10))
    other = replace(other, name="lab.call_too")
    backlog(30)
    sql("UPDATE outbox_delivery SET consumer = 'lab.call_too' WHERE id % 2 = 0")
    assert [granted(entry, me) for me in workers] == [3, 0]
    assert granted(other, workers[1]) == 7, "what is left of the destination"


def test_what_a_dead_worker_held_is_free_as_soon_as_its_death_is_noticed(workers):
    entry, (first, second) = calling(Destination(LAB, concurrency=10)), workers
    backlog(30)
    assert granted(entry, first) == 10
    assert granted(entry, second) == 0
    Worker.objects.filter(id=first).delete()
    assert granted(entry, second) == 10
    assert list(Breaker.objects.get(destination=LAB).held) == [str(second)]


def test_the_rate_is_a_bucket_that_all_workers_draw_from(workers):
    entry, (first, second) = calling(Destination(LAB, rate_per_second=10, burst=5)), workers
    backlog(30)
    assert granted(entry, first, want=3) == 3
    assert granted(entry, second) == 2, "what is left of the burst"
    empty = take(entry, first)
    assert empty.calls == 0
    assert 0.05 <= empty.retry_in <= 0.1
    seconds_pass(0.3)
    assert granted(entry, second) in (3, 4)
    seconds_pass(3600)
    assert granted(entry, first) == 5, "never more than the burst"


def test_a_clock_that_steps_back_neither_stalls_nor_floods(workers):
    entry = calling(Destination(LAB, rate_per_second=10, burst=5))
    backlog(30)
    assert granted(entry, workers[0]) == 5
    seconds_pass(-3600)
    assert granted(entry, workers[0]) == 0
    seconds_pass(0.2)
    assert granted(entry, workers[0]) in (2, 3)


def test_repetitions_are_a_set_share_of_the_calls_and_the_rest_is_put_off(workers):
    slow = RetryBudget(share=0.2, minimum=2, window_seconds=10_000)
    entry = calling(Destination(LAB, concurrency=None, retry_budget=slow))
    backlog(30, attempts=1)
    backlog(10)
    first = take(entry, workers[0], want=30)
    assert (first.calls, first.retries, first.over) == (2, 2, 28), "the minimum"
    sql("UPDATE outbox_breaker SET recent_calls = 101, recent_retries = 0")
    second = take(entry, workers[0], want=40)
    assert (second.calls, second.retries, second.over) == (30, 20, 10), "a fifth of a hundred, and all first calls"
    assert take(entry, workers[1], want=30).over == 24, "a fifth of what are 131 calls by now, less the 20"


def test_the_budget_forgets_with_time(workers):
    entry = calling(Destination(LAB, concurrency=None, retry_budget=RetryBudget(minimum=5, window_seconds=10)))
    backlog(30, attempts=1)
    assert [take(entry, workers[0]).retries, take(entry, workers[0]).retries] == [5, 0]
    seconds_pass(10)
    assert take(entry, workers[0]).retries in (3, 4), "the fives have faded to two"
    seconds_pass(100_000_000)
    assert take(entry, workers[0]).retries == 5


def test_a_destination_declared_twice_is_refused(transactional_db):
    with pytest.raises(ConsumerConflict, match="'lab' is declared twice"):
        external_consumer(Call, name="lab.other", destination=Destination(LAB, concurrency=1))


def test_an_empty_queue_writes_nothing(workers):
    entry = calling(Destination(LAB, concurrency=10))
    before = sql("SELECT xmin::text FROM outbox_breaker WHERE destination = 'lab'")
    assert take(entry, workers[0]) == gates.NOTHING
    assert sql("SELECT xmin::text FROM outbox_breaker WHERE destination = 'lab'") == before


@pytest.fixture
def budget(monkeypatch):
    """Let the laboratory's destination have hardly any budget, in the engine itself."""
    entry = find("lab.call")
    narrow = replace(entry.calls, retry_budget=RetryBudget(share=0.0, minimum=2, window_seconds=1.0))
    monkeypatch.setattr("outbox.consumers._consumers", {entry.name: replace(entry, calls=narrow)})


@pytest.mark.requirement("M10")
def test_a_storm_of_retries_is_stretched_and_burns_no_attempts(drain, budget, invariants_hold):
    ask(*(call(number, "transient_once") for number in range(8)))
    sql("UPDATE outbox_breaker SET pinned = true")
    drain(until=lambda: Delivery.objects.filter(waiting_for="the retry budget of lab").exists())
    put_off = Delivery.objects.filter(waiting_for="the retry budget of lab").first()
    assert (put_off.state, put_off.attempts) == ("scheduled", 1)
    ask(call(100))
    drain(until=lambda: handlers.calls[100] == 1)
    drain()
    assert effects().count("answer") == 9
    assert set(Receipt.objects.exclude(attempts=1).values_list("attempts", flat=True)) == {2}
    assert Attempt.objects.count() == 8
    stats.flush()
    assert sql("SELECT sum(value) FROM outbox_rollup WHERE measure = 'deferred'")[0][0] >= 6


def test_what_is_in_flight_is_told_when_nothing_else_is_to_be_done(drain):
    ask(call(1))
    drain()
    drain(until=lambda: Breaker.objects.get(destination=LAB).held == {})


def test_a_message_that_waits_for_a_limit_is_not_called_late(workers):
    entry = calling(Destination(LAB, concurrency=1))
    backlog(3)
    sql("UPDATE outbox_delivery SET enqueued_at = now() - interval '1 h'")
    assert stats.oldest_due_seconds() > 3000
    assert [granted(entry, me) for me in workers] == [1, 0]
    assert stats.oldest_due_seconds() == 0
