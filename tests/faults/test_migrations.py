"""The schema changes while it is in use: whoever reads goes on reading, and the change comes when it can."""

import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from outbox.management.commands import migrate
from tests.faults.conftest import database_url
from tests.lab.models import Effect
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M42")]
INITIAL, COLOUR, INDEX = "0001_initial", "0002_colour", "0003_colour_index"


def session() -> psycopg.Connection:
    return psycopg.connect(database_url())


def columns() -> set[str]:
    with session() as own:
        found = own.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'lab_effect'")
        return {row[0] for row in found}


class Migrating:
    """`manage.py migrate` in a thread of its own."""

    def __init__(self, target: str, patience: float) -> None:
        self.said, self.error = StringIO(), None
        self._thread = threading.Thread(target=self._run, args=(target, patience))
        self._thread.start()

    def _run(self, target: str, patience: float) -> None:
        try:
            call_command("migrate", "lab", target, verbosity=0, patience=patience, stderr=self.said)
        except OperationalError as error:
            self.error = error
        finally:
            connection.close()

    def gave_way(self) -> bool:
        return "A table is in use" in self.said.getvalue()

    def end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def migrating(transactional_db, settings, monkeypatch) -> Iterator[Callable[..., Migrating]]:
    """Start migrating the laboratory to what a later release has; everything is undone afterwards."""
    settings.MIGRATION_MODULES = {"lab": "tests.faults.later_migrations"}
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.2)
    begun = []

    def begin(target: str = COLOUR, patience: float = 60) -> Migrating:
        begun.append(Migrating(target, patience))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()
    call_command("migrate", "lab", INITIAL, verbosity=0)


def test_readers_go_on_while_a_migration_waits_behind_an_idle_one_and_it_is_done_when_that_ends(migrating):
    Effect.objects.create(message_id="01890a5d-ac96-774b-bcce-b302099a8057", label="old", number=1)
    with session() as idle, session() as reader:
        idle.execute("SELECT count(*) FROM lab_effect")
        one = migrating()
        longest = 0.0
        while not one.gave_way():
            began = time.monotonic()
            assert reader.execute("SELECT count(*) FROM lab_effect").fetchone() == (1,)
            reader.commit()
            longest = max(longest, time.monotonic() - began)
        assert longest < migrate.LOCK_SECONDS + 5, "nobody waits for the whole of the idle transaction"
        assert "colour" not in columns()
    one.end()
    assert one.error is None
    assert "colour" in columns()


def test_the_release_before_goes_on_writing_on_the_new_schema(migrating):
    one = migrating()
    one.end()
    Effect.objects.create(message_id="01890a5d-ac96-774b-bcce-b302099a8057", label="by the old code", number=1)
    with session() as own:
        assert own.execute("SELECT colour FROM lab_effect").fetchall() == [("grey",)]


def test_a_migration_gives_up_when_its_patience_is_over_and_leaves_nothing_behind(migrating):
    with session() as idle:
        idle.execute("SELECT count(*) FROM lab_effect")
        one = migrating(patience=1)
        one.end()
    assert getattr(one.error.__cause__, "sqlstate", None) == "55P03"
    assert "colour" not in columns()


def test_an_index_that_is_built_beside_the_work_waits_for_old_transactions_instead_of_leaving_a_ruin(migrating):
    migrating().end()
    with session() as idle:
        idle.execute("INSERT INTO lab_effect (message_id, label, number) VALUES (gen_random_uuid(), 'open', 1)")
        one = migrating(INDEX)
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
        )
        with session() as watcher:
            watcher.autocommit = True
            eventually(lambda: watcher.execute(waits).fetchone(), 30)
            time.sleep(migrate.LOCK_SECONDS + 0.2)  # as long as any other change would have waited
            assert watcher.execute(waits).fetchone()
    one.end()
    assert one.error is None
    with session() as own:
        index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'lab_effect_number'::regclass"
        assert own.execute(index).fetchall() == [(True,)]


def test_two_who_migrate_at_once_take_turns(migrating):
    with session() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (migrate.ONE_AT_A_TIME,))
        one = migrating()
        eventually(one.gave_way, 30)
        assert "colour" not in columns()
    one.end()
    assert "colour" in columns()


def test_the_limits_of_the_session_are_as_before_when_it_is_over(transactional_db):
    def limits() -> list[tuple]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            return [*cursor.fetchall(), getattr(connection.connection, "answer_seconds", None)]

    before = limits()
    call_command("migrate", "lab", verbosity=0)
    assert limits() == before
