"""What the database keeps by itself: legal states, their history, append-only records, partitions, one receipt."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, InternalError, ProgrammingError, connection, transaction
from django.db.migrations.state import ProjectState

from outbox import audit, housekeeping
from outbox.context import scope
from outbox.errors import InvalidPayload
from outbox.models import AuditEntry, Delivery, Message, Receipt, Transition
from outbox.publishing import send, unit_of_work
from outbox.triggers import GuardStateMachine
from tests.integration.outbox.asking import ask, call, effects, single, sql
from tests.lab import handlers

pytestmark = pytest.mark.django_db(transaction=True)
TRAFFIC_LIGHT = {"red": {"green"}, "green": {"yellow"}, "yellow": {"red"}}


@pytest.fixture
def lights(transactional_db):
    """A table whose column `shows` is guarded."""
    sql("CREATE TABLE lab_light (id uuid PRIMARY KEY, shows text NOT NULL, note text NOT NULL DEFAULT '')")
    guard = GuardStateMachine(
        table="lab_light", column="shows", machine="light", initial="red", transitions=TRAFFIC_LIGHT
    )
    run(guard.database_forwards)
    yield guard
    sql("DROP TABLE lab_light")
    sql("DROP FUNCTION IF EXISTS lab_light_guard_shows()")


def run(migrate) -> None:
    with connection.schema_editor() as editor:
        migrate("lab", editor, ProjectState(), ProjectState())


def light(shows: str = "red") -> UUID:
    light_id = uuid4()
    sql("INSERT INTO lab_light VALUES (%s, %s)", light_id, shows)
    return light_id


def turn(light_id: UUID, shows: str) -> None:
    sql("UPDATE lab_light SET shows = %s WHERE id = %s", shows, light_id)


def history(light_id: UUID) -> list[tuple[int, str, str]]:
    rows = Transition.objects.filter(machine="light", entity_id=light_id).order_by("seq")
    return list(rows.values_list("seq", "from_state", "to_state"))


@pytest.mark.requirement("M26")
def test_legal_transitions_pass_and_each_is_recorded(lights):
    one = light()
    turn(one, "green")
    turn(one, "yellow")
    assert history(one) == [(1, "", "red"), (2, "red", "green"), (3, "green", "yellow")]


@pytest.mark.requirement("M26")
def test_an_illegal_transition_is_refused_by_the_database_and_leaves_no_history(lights):
    one = light()
    with pytest.raises(IntegrityError, match="light: there is no way from red to yellow"):
        turn(one, "yellow")
    assert history(one) == [(1, "", "red")]
    assert sql("SELECT shows FROM lab_light") == [("red",)]


@pytest.mark.requirement("M26")
def test_nothing_begins_in_the_middle(lights):
    with pytest.raises(IntegrityError, match="light starts as red, not as green"):
        light("green")


def test_other_columns_and_the_same_state_are_no_transition(lights):
    one = light()
    turn(one, "red")
    sql("UPDATE lab_light SET note = 'x', shows = shows")
    assert history(one) == [(1, "", "red")]


def test_a_statement_that_moves_many_rows_records_each(lights):
    lamps = [light() for _ in range(3)]
    sql("UPDATE lab_light SET shows = 'green'")
    assert [history(lamp)[1:] for lamp in lamps] == [[(2, "red", "green")]] * 3


def test_the_guard_is_removed_and_replaced_by_migrations(lights):
    wider = GuardStateMachine(
        table="lab_light",
        column="shows",
        machine="light",
        initial="red",
        transitions={**TRAFFIC_LIGHT, "red": {"green", "yellow"}},
        replaces=True,
    )
    run(wider.database_forwards)
    one = light()
    turn(one, "yellow")
    run(lights.database_backwards)
    turn(one, "green")
    assert history(one)[-1] == (2, "red", "yellow")


@pytest.mark.parametrize("table", ["outbox_transition", "outbox_auditentry"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_records_of_what_happened_are_append_only(lights, table, change):
    light()
    with unit_of_work():
        audit.record("retry", "delivery 1", reason="It works again")
    with pytest.raises((ProgrammingError, InternalError), match=f"{table} is append-only"):
        sql(change.format(table))


@pytest.mark.requirement("M27")
def test_an_audit_entry_says_who_did_what_to_what_and_why(transactional_db):
    conversation = uuid4()
    with scope(actor="staff:ada", correlation_id=conversation), unit_of_work():
        audit.record("discard", "delivery 7", reason="Sent twice", before={"state": "dead"}, after=None)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject, entry.reason) == (
        "staff:ada", "discard", "delivery 7", "Sent twice",
    )  # fmt: skip
    assert (entry.before, entry.after, entry.correlation_id) == ({"state": "dead"}, None, conversation)


def test_what_is_rolled_back_was_not_done_and_is_not_in_the_audit(transactional_db):
    with pytest.raises(ZeroDivisionError), unit_of_work():
        audit.record("discard", "delivery 7", reason=str(1 / 0))
    assert not AuditEntry.objects.exists()


def partition_of(message_id: UUID) -> str:
    return sql("SELECT tableoid::regclass::text FROM outbox_message WHERE id = %s", message_id)[0][0]


@pytest.mark.requirement("M42")
def test_a_message_and_its_receipt_land_in_their_month(drain):
    (message_id,) = ask(single())
    drain()
    month = datetime.now(UTC).strftime("y%Ym%m")
    assert partition_of(message_id) == f"outbox_message_{month}"
    assert sql("SELECT tableoid::regclass::text FROM outbox_receipt") == [(f"outbox_receipt_{month}",)]


@pytest.mark.requirement("M42")
def test_partitions_are_there_ahead_of_time_and_made_once(transactional_db):
    housekeeping.create_partitions()
    assert sql("SELECT outbox_create_partitions(%s)", housekeeping.MONTHS_AHEAD) == [(0,)]
    ((ahead,),) = sql(
        "SELECT count(*) FROM pg_class WHERE relname ~ '^outbox_message_y' AND relkind = 'r' AND relname >"
        " 'outbox_message_' || to_char(now() AT TIME ZONE 'UTC', '\"y\"YYYY\"m\"MM')"
    )
    assert ahead == housekeeping.MONTHS_AHEAD


@pytest.mark.requirement("M42")
def test_a_month_begins_with_the_ids_of_its_first_millisecond(transactional_db):
    first = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
    assert sql("SELECT outbox_uuid7_floor('2026-03-01')") == [(UUID(int=first << 80),)]


def test_a_message_from_outside_all_months_is_kept_too(transactional_db):
    stray = UUID("ffffffff-0000-7000-8000-000000000000")
    sql(
        "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
        " VALUES (%s, 'lab.noted', 1, 'event', 'bench', %s, '{}', %s)", stray, stray, stray,
    )  # fmt: skip
    assert partition_of(stray) == "outbox_message_default"


@pytest.mark.requirement("M8")
@pytest.mark.parametrize("ask_for", [single, call])
def test_a_message_delivered_twice_has_its_effect_once(drain, invariants_hold, ask_for):
    (message_id,) = ask(ask_for(1))
    drain()
    before = effects()
    consumer = Receipt.objects.get().consumer
    sql("INSERT INTO outbox_delivery (message_id, consumer) VALUES (%s, %s)", message_id, consumer)
    drain()
    assert effects() == before
    assert (Receipt.objects.count(), Delivery.objects.count()) == (1, 0)
    assert handlers.calls[1] <= 1


@pytest.mark.requirement("M8")
def test_the_database_refuses_a_second_delivery_of_what_is_still_queued(transactional_db):
    (message_id,) = ask(single())
    with pytest.raises(IntegrityError, match="outbox_delivery_once"), transaction.atomic():
        Delivery.objects.create(message_id=message_id, consumer="lab.single")


def test_a_huge_payload_is_refused_by_the_database_too(transactional_db):
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            name="lab.noted", version=1, kind="event", aggregate="b", aggregate_id=uuid4(),
            payload={"text": "x" * 140_000}, correlation_id=uuid4(),
        )  # fmt: skip


def test_a_huge_message_is_refused_when_it_is_sent(transactional_db):
    with pytest.raises(InvalidPayload, match="65536 are allowed"), unit_of_work():
        send(call(1, "x" * 70_000))
    assert not Message.objects.exists()
