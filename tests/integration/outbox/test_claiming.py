"""Claims that begin at a low-water mark pass nothing over."""

from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from outbox.engine import queue
from outbox.engine.identity import listen_parameters
from outbox.engine.low_water import TRAIL_SECONDS, LowWater
from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Note

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M7", "M8")]
CONSUMER = "lab.note"
BATCH = 3


class Clock:
    """Stands still but between the steps of a test, so that no full look comes unasked."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(queue, "_low_water", LowWater(clock))
    return clock


def fill(messages: int, priority: int = 0) -> list[int]:
    with unit_of_work():
        ids = [send(Note(bench_id=uuid4(), number=number), priority=priority) for number in range(messages)]
    return list(Delivery.objects.filter(message_id__in=ids).order_by("id").values_list("id", flat=True))


def take(limit: int = BATCH) -> list[int]:
    """Claim and forget one batch; return the deliveries."""
    with transaction.atomic():
        claimed = [one.id for one in queue.claim(CONSUMER, limit)]
        Delivery.objects.filter(id__in=claimed).delete()
    return claimed


def raise_the_mark(clock: Clock) -> None:
    """Claim until the mark stands above the beginning."""
    for _ in range(3):
        take()
        clock.now += TRAIL_SECONDS / 2 + 0.01
    assert queue._low_water.start(CONSUMER).id > 0


def test_a_message_that_commits_late_is_found_before_the_queue_is_said_to_be_empty(clock):
    with psycopg.connect(**listen_parameters()) as late:
        late.execute(
            "INSERT INTO outbox_delivery (message_id, consumer)"
            " SELECT id, %s FROM (SELECT gen_random_uuid() AS id) made",
            (CONSUMER,),
        )
        (number,) = late.execute("SELECT id FROM outbox_delivery WHERE xmin = pg_current_xact_id()::xid").fetchone()
        later = fill(14)
        raise_the_mark(clock)
        late.execute(
            "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
            " SELECT message_id, 'lab.note', 1, 'command', 'bench', message_id, '{}', message_id"
            " FROM outbox_delivery WHERE id = %s",
            (number,),
        )
    assert number < min(later)
    assert take() == later[9:12], "the mark is above it"
    assert take() == [number, *later[12:]]
    assert take() == []


def test_what_goes_first_by_its_priority_is_not_passed_over(clock):
    fill(20)
    raise_the_mark(clock)
    urgent = fill(1, priority=-1)
    assert take()[0] == urgent[0]


def test_a_timer_that_runs_out_is_claimed_before_what_is_younger(clock):
    early = fill(1)
    Delivery.objects.filter(id__in=early).update(state="scheduled", due_at="2000-01-01T00:00Z")
    fill(20)
    raise_the_mark(clock)
    queue.promote_due()
    assert take()[0] == early[0]


def test_claims_find_their_place_by_the_index_alone(clock):
    fill(5)
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {queue._CLAIM}", (CONSUMER, BATCH))
        from_the_beginning = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN {queue._CLAIM_ABOVE}", (CONSUMER, 0, CONSUMER, 0, 3, BATCH))
        above_the_mark = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "Index Scan using outbox_delivery_ready" in from_the_beginning
    assert "Index Scan using outbox_delivery_ready" in above_the_mark
    assert "ROW(priority, id) >= ROW(" in above_the_mark
