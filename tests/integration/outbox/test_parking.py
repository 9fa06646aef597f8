"""What no running release can do is kept, shown, and done once one can."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from outbox import consumers, operations, stats
from outbox.engine import identity, shift
from outbox.engine.identity import Identity
from outbox.errors import IllegalOperation
from outbox.invariants import verify
from outbox.models import Attempt, AuditEntry, Delivery, Message, Receipt, Worker
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Call, Note
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8", "M19")]
BENCH = uuid4()
GONE = "lab.consumer_of_another_release"


def sent(number: int, behaviour: str = "", **changes: object) -> Delivery:
    """Send a note, and have its delivery look as `changes` say."""
    with unit_of_work():
        message_id = send(Note(bench_id=BENCH, number=number, behaviour=behaviour))
    Delivery.objects.filter(message_id=message_id).update(**changes)
    return Delivery.objects.get(message_id=message_id)


def state_of(delivery: Delivery) -> str:
    return Delivery.objects.get(id=delivery.id).state


def long_ago() -> object:
    return timezone.now() - timedelta(minutes=2)


@pytest.fixture
def old_worker(transactional_db, monkeypatch) -> Iterator[Identity]:
    """A worker of a release that knows the consumers, but no contract; it lives, and claims nothing here."""
    with monkeypatch.context() as patch:
        patch.setattr(identity, "readable_contracts", list)
        old = Identity()
    yield old
    old.sign_out()


def test_work_for_an_unknown_consumer_keeps_nobody_from_working_and_is_parked_where_people_see_it(drain):
    orphan = sent(1, consumer=GONE, enqueued_at=long_ago())
    known = sent(2)
    drain(until=lambda: state_of(orphan) == "parked" and not Delivery.objects.filter(id=known.id).exists())
    assert list(Effect.objects.filter(label="note").values_list("number", flat=True)) == [2]
    orphan.refresh_from_db()
    assert orphan.last_error == f"No worker that runs knows the consumer {GONE}"
    (depth,) = [depth for depth in stats.queue_depth() if depth.consumer == GONE]
    assert (depth.ready, depth.parked) == (0, 1)
    out = StringIO()
    call_command("outbox", "list", "--state", "parked", "--json", stdout=out)
    assert [row["error"] for row in json.loads(out.getvalue())] == [orphan.last_error]
    assert [verdict.name for verdict in verify() if verdict.violations] == []


def test_isolated_work_for_an_unknown_consumer_is_parked_as_well(drain):
    orphan = sent(1, consumer=GONE, state="isolated", enqueued_at=long_ago())
    drain(until=lambda: state_of(orphan) == "parked")


def test_it_is_left_alone_while_its_release_may_be_about_to_start(drain):
    fresh, old = sent(1, consumer=GONE), sent(2, consumer=GONE, enqueued_at=long_ago())
    drain(until=lambda: state_of(old) == "parked")
    assert state_of(fresh) == "ready"


def test_it_is_left_alone_while_a_worker_of_another_release_knows_it(drain, old_worker):
    Worker.objects.filter(id=old_worker.id).update(consumers=[GONE])
    orphan = sent(1, consumer=GONE, enqueued_at=long_ago())
    witness = sent(2, consumer=GONE + "_too", enqueued_at=long_ago())
    drain(until=lambda: state_of(witness) == "parked")
    assert state_of(orphan) == "ready"


def test_it_is_done_when_a_release_with_that_consumer_starts(drain, monkeypatch):
    orphan = sent(1, consumer=GONE, enqueued_at=long_ago())
    drain(until=lambda: state_of(orphan) == "parked")
    monkeypatch.setitem(consumers._consumers, GONE, replace(consumers.find("lab.note"), name=GONE))
    new = shift.Shift()
    new.run(lambda: Receipt.objects.filter(message_id=orphan.message_id).exists(), seconds=5)
    new.me.sign_out()
    assert Receipt.objects.get(message_id=orphan.message_id).consumer == GONE
    assert Effect.objects.get(label="note").message_id == orphan.message_id


def test_while_another_release_would_park_it_again_it_is_done_from_where_it_is(drain, old_worker, monkeypatch):
    delivery = sent(1, state="parked")
    met = []
    note = consumers.find("lab.note")

    def look(command: Note, message: consumers.Incoming) -> None:
        met.append(state_of(delivery))
        note.handler(command, message)

    monkeypatch.setitem(consumers._consumers, "lab.note", replace(note, handler=look))
    drain()
    drain(until=lambda: Receipt.objects.filter(message_id=delivery.message_id).exists())
    assert met == ["parked"]
    assert Receipt.objects.get(message_id=delivery.message_id).attempts == 1


def test_where_every_worker_knows_it_it_goes_back_into_the_queue(drain, monkeypatch):
    delivery = sent(1, state="parked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift, "run_one", pytest.fail)
        drain(until=lambda: Receipt.objects.filter(message_id=delivery.message_id).exists())


def test_parked_work_that_fails_has_its_attempts_counted(drain, old_worker):
    delivery = sent(1, "permanent", state="parked")
    drain(until=lambda: state_of(delivery) == "dead")
    assert Attempt.objects.get(message_id=delivery.message_id).kind == "permanent"


def test_a_parked_call_is_made(drain, old_worker):
    with unit_of_work():
        message_id = send(Call(bench_id=BENCH, number=1))
    Delivery.objects.update(state="parked")
    drain(until=lambda: Receipt.objects.filter(message_id=message_id).exists())
    assert Effect.objects.get(message_id=message_id).label == "answer"


def test_parking_is_counted_by_itself_and_rings_for_those_who_may_know(drain, old_worker):
    delivery = sent(1)
    Message.objects.filter(id=delivery.message_id).update(version=7)
    drain()
    stats.flush()
    figures = [minute for minute in stats.minutes(2, "lab.note") if minute.failed or minute.dead]
    assert figures == [], "a deploy is no failure"
    old_worker.hear()
    assert "(parked)" in old_worker.rung


@pytest.mark.requirement("M29")
def test_what_is_parked_for_good_may_be_discarded_with_a_reason_but_not_retried(transactional_db):
    orphan = sent(1, consumer=GONE, state="parked")
    with unit_of_work(), pytest.raises(IllegalOperation, match="it is parked"):
        operations.retry_dead_letter(orphan.id, "again")
    with unit_of_work():
        operations.discard_dead_letter(orphan.id, "that consumer is gone for good")
    assert Receipt.objects.get(message_id=orphan.message_id).outcome == "discarded"
    assert AuditEntry.objects.get().before["state"] == "parked"
