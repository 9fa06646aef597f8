"""Back-pressure: what is said now is always taken; what is brought up again in bulk waits for room."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from config.pulse import take_pulse
from outbox import pressure
from outbox.models import Delivery, Receipt
from tests.integration.outbox.asking import BENCH, ask, single, sql, tell
from tests.integration.outbox.dead import make_dead
from tests.lab.commands import Noted
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M17")]
SINGLE = "lab.single"


class Err(StringIO):
    """Standard error; does something when a command says that it waits."""

    def __init__(self, when_waiting: Callable[[], None]) -> None:
        super().__init__()
        self._when_waiting = when_waiting
        self.waits = 0

    def write(self, text: str) -> int:
        if text.startswith("Waiting"):
            self.waits += 1
            self._when_waiting()
        return super().write(text)


def outbox(*arguments: object, err: StringIO | None = None) -> dict:
    out = StringIO()
    words = [*(str(argument) for argument in arguments), "--json"]
    call_command("outbox", *words, stdout=out, stderr=err or StringIO())
    return json.loads(out.getvalue())


@pytest.fixture
def bound(settings) -> int:
    settings.MAX_PENDING = 3
    return 3


def over() -> list[str]:
    return [backlog.consumer for backlog in pressure.over_bounds()]


def test_a_backlog_is_over_its_bound_when_more_is_ready_than_that(bound, drain):
    ask(*(single(number) for number in range(bound)))
    assert over() == []
    ask(single(bound))
    assert over() == [SINGLE]
    assert pressure.over_bounds(["lab.note"]) == []
    drain()
    assert over() == []


def test_what_comes_back_by_itself_does_not_count(bound):
    ask(*(single(number) for number in range(9)))
    sql("UPDATE outbox_delivery SET state = 'scheduled', due_at = now() + interval '1 hour'")
    assert over() == []


def test_what_is_said_now_is_taken_whatever_the_backlog_by_the_same_one_statement(bound, statements):
    ask(*(single(number) for number in range(9)))
    del statements[:]
    ask(single(10))
    assert len(statements) == 1, "one insert; the ring goes with COMMIT"
    assert Delivery.objects.count() == 10


def test_everybody_can_see_it(bound, client):
    ask(*(single(number) for number in range(4)))
    assert client.get("/health/workers").json()["over_bound"] == [SINGLE]
    assert f'tandem_backlog_over_bound{{consumer="{SINGLE}"}} 1.0' in client.get("/metrics").content.decode()
    assert outbox("stats")["over_bound"] == [SINGLE]
    assert "Replays and retries in bulk wait" in " ".join(notice.text for notice in take_pulse().notices)


def test_the_look_reads_no_more_of_a_backlog_than_its_bound(transactional_db):
    sql("""
        INSERT INTO outbox_delivery (message_id, consumer)
        SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'lab.single' ELSE 'lab.note' END
        FROM generate_series(1, 20000) AS n
    """)
    sql("ANALYZE outbox_delivery")
    plan = "\n".join(row[0] for row in sql(f"EXPLAIN (ANALYZE, TIMING OFF) {pressure._OVER}", [SINGLE], [1_000]))
    assert "outbox_delivery_ready" in plan
    assert "Seq Scan" not in plan
    assert "actual rows=1001" in plan


@pytest.mark.requirement("M20")
def test_a_replay_waits_while_the_backlog_is_over_its_bound_and_goes_on_when_there_is_room(bound, drain):
    events = tell(*(Noted(bench_id=BENCH, number=number) for number in range(12)))
    sql("DELETE FROM outbox_delivery")
    highest = []

    def work() -> None:
        highest.append(Delivery.objects.filter(state="ready").count())
        drain()

    err = Err(work)
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    made = outbox("replay", "lab.noted", "--since", since, "--rate", "5", "--reason", "x", err=err)["made"]
    drain()
    assert (made, err.waits) == (12, 2)
    assert max(highest) <= bound + 5, "no more than one portion above the bound"
    assert Receipt.objects.filter(message_id__in=events).count() == 12


@pytest.mark.requirement("M27")
def test_dead_letters_that_are_retried_in_bulk_come_as_there_is_room(bound, drain, monkeypatch):
    monkeypatch.setattr(pressure, "LOOK_EVERY", 2)
    dead = make_dead(drain, *range(9))
    sql('UPDATE outbox_message SET payload = payload || \'{"behaviour": ""}\'')
    err = Err(drain)
    results = outbox("retry", *(row.id for row in dead), "--reason", "mended", err=err)
    drain()
    assert all(result["done"] for result in results)
    assert err.waits == 2
    assert Effect.objects.filter(label="note").count() == 9


def test_a_consumer_may_have_a_bound_of_its_own(bound, monkeypatch):
    entry = pressure.find(SINGLE)
    monkeypatch.setattr(pressure, "find", lambda name: _with_bound(entry, 5) if name == SINGLE else None)
    ask(*(single(number) for number in range(5)))
    assert over() == []
    ask(single(6))
    assert over() == [SINGLE]


def _with_bound(entry, most: int):
    return type("Declared", (), {"name": entry.name, "max_pending": most})()


def test_who_waits_goes_on_only_when_there_is_room_and_is_told_once(bound, monkeypatch):
    ask(*(single(number) for number in range(bound + 3)))
    told = []

    def somebody_works_meanwhile(_seconds: float) -> None:
        sql("DELETE FROM outbox_delivery WHERE id = (SELECT min(id) FROM outbox_delivery)")

    monkeypatch.setattr(pressure.time, "sleep", somebody_works_meanwhile)
    pressure.wait_for_room([SINGLE], told.append)
    assert Delivery.objects.count() == bound
    assert [str(backlog) for backlog in told] == [f"more than {bound} messages wait for {SINGLE}"]
