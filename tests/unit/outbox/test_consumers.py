"""What contracts promise, their consumers must be able to keep: said before anything starts."""

from datetime import timedelta
from uuid import UUID

import pytest

from outbox import consumers, contracts
from outbox.checks import check_consumers
from outbox.consumers import by_aggregate, consumer, external_consumer, ordering_key
from outbox.contracts import Event, Ordering, Semantics, contract, contract_of

pytestmark = [pytest.mark.requirement("M9", "M18"), pytest.mark.usefixtures("registry")]
BENCH = UUID(int=1)


@pytest.fixture
def registry(monkeypatch):
    """Registers that begin empty, and forget what the test declares."""
    for module, name in (
        (contracts, "_by_name"),
        (contracts, "_by_class"),
        (consumers, "_consumers"),
        (consumers, "_subscribers"),
        (consumers, "_ordered"),
    ):
        monkeypatch.setattr(module, name, {})


def declare(**promise) -> type[Event]:
    class Moved(Event):
        bench_id: UUID
        town: str | None = None

    return contract("test.moved", version=1, owner="test", aggregate="bench", key="bench_id", **promise)(Moved)


def transactional(event: type[Event], **asks) -> None:
    consumer(event, name="test.note", **asks)(lambda payload, message: None)


def external(event: type[Event], **asks) -> None:
    external_consumer(event, name="test.tell", destination="outside", **asks)(object)


def found() -> list[str]:
    return [error.msg for error in check_consumers()]


def test_exactly_once_is_refused_to_a_consumer_that_calls_someone_outside():
    external(declare())
    assert found() == ["test.moved promises exactly once in effect, but test.tell calls someone outside"]


def test_at_most_once_needs_an_expiry():
    external(declare(semantics=Semantics.AT_MOST_ONCE))
    assert found() == ["test.moved promises at most once, but not for how long: it needs expires_after"]


def test_at_most_once_with_an_expiry_is_kept_by_both_kinds_of_consumers():
    event = declare(semantics=Semantics.AT_MOST_ONCE, expires_after=timedelta(minutes=1))
    external(event)
    transactional(event)
    assert found() == []


@pytest.mark.requirement("M14")
def test_a_call_of_at_most_once_cannot_hold_back_what_comes_after_it():
    external(declare(semantics=Semantics.AT_MOST_ONCE, expires_after=timedelta(minutes=1)), order_by=by_aggregate)
    assert found() == [
        "test.moved promises at most once, so test.tell cannot hold back what comes after it until its call has ended"
    ]


@pytest.mark.requirement("M14")
def test_order_that_a_contract_promises_must_be_asked_for_by_each_of_its_consumers():
    event = declare(semantics=Semantics.AT_LEAST_ONCE, ordering=Ordering.PER_AGGREGATE)
    external(event, order_by=by_aggregate)
    transactional(event)
    assert found() == ["test.moved promises order per aggregate, but test.note asks for none with order_by"]


@pytest.mark.requirement("M14")
def test_the_ordering_key_is_the_aggregate_or_what_the_consumer_says_or_none():
    event = declare(semantics=Semantics.AT_LEAST_ONCE)
    transactional(event, order_by=by_aggregate)
    external(event, order_by=lambda moved: moved.town)
    lisbon, nowhere = event(bench_id=BENCH, town="Lisbon"), event(bench_id=BENCH)
    assert [ordering_key("test.note", lisbon), ordering_key("test.tell", lisbon)] == [str(BENCH), "Lisbon"]
    assert ordering_key("test.tell", nowhere) is None


def test_the_schema_of_a_contract_names_its_semantics_its_order_and_its_expiry():
    event = declare(
        semantics=Semantics.AT_MOST_ONCE, expires_after=timedelta(minutes=1), ordering=Ordering.PER_AGGREGATE
    )
    schema = contract_of(event).schema()
    words = {key: schema[key] for key in schema if key.startswith("x-")}
    assert words == {
        "x-kind": "event",
        "x-owner": "test",
        "x-aggregate": "bench",
        "x-semantics": "at most once",
        "x-ordering": "per aggregate",
        "x-expires-after-seconds": 60.0,
    }
