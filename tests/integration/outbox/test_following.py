"""Whoever follows the messages gets each once, late commits included."""

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from outbox import following
from outbox.engine.identity import listen_parameters
from outbox.following import Follower
from tests.integration.outbox.asking import ask, single, sql, tell
from tests.lab.commands import Noted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M20")]

A, B = uuid4(), uuid4()


@pytest.fixture
def late():
    """A session that says something and takes its time."""
    session = psycopg.connect(**listen_parameters())
    yield session
    session.close()


def say(session: psycopg.Connection) -> UUID:
    message_id = UUID(int=int(datetime.now(UTC).timestamp() * 1000) << 80)
    session.execute(
        "INSERT INTO outbox_message (id, name, version, kind, aggregate, aggregate_id, payload, correlation_id)"
        " VALUES (%s, 'lab.noted', 1, 'event', 'bench', %s, '{}', %s)", (message_id, A, A),
    )  # fmt: skip
    return message_id


def ids(follower: Follower) -> list[UUID]:
    return [said.id for said in follower.look()]


def test_what_was_said_before_is_not_told_and_what_comes_is_told_once(transactional_db):
    ask(single(1))
    follower = Follower()
    assert ids(follower) == []
    new = ask(single(2), single(3))
    assert ids(follower) == new
    assert ids(follower) == []


def test_a_late_commit_is_told_when_it_comes_and_holds_up_nobody_else(late):
    follower = Follower()
    early = say(late)
    others = ask(single(1))
    assert others[0] > early
    assert ids(follower) == others
    assert ids(follower) == []
    later = ask(single(2))
    late.commit()
    assert set(ids(follower)) == {*later, early}
    assert ids(follower) == []


def test_what_was_rolled_back_is_never_told(late):
    follower = Follower()
    say(late)
    late.rollback()
    assert ids(follower) == []


def test_a_transaction_that_stays_open_over_many_looks_is_not_forgotten(late, monkeypatch):
    monkeypatch.setattr(following, "SAID_BEFORE", timedelta(0))
    follower = Follower()
    early = say(late)
    for number in range(20):
        assert len(follower.look()) == (1 if number else 0)
        ask(single(number))
        sql("SELECT pg_current_xact_id()")
    late.commit()
    assert early in ids(follower)


def test_names_and_aggregates_choose(transactional_db):
    by_name, about = Follower(["lab.noted"]), Follower(aggregate_id=B)
    ask(single(1))
    first, second = tell(Noted(bench_id=A, number=1), Noted(bench_id=B, number=2))
    assert ids(by_name) == [first, second]
    assert ids(about) == [second]


def test_the_command_prints_a_line_for_each_as_it_comes(transactional_db):
    out = StringIO()

    def publish() -> None:
        tell(Noted(bench_id=A, number=1))
        connection.close()

    timer = threading.Timer(0.3, publish)
    timer.start()
    call_command("outbox", "follow", "--name", "lab.noted", "--seconds", "1.5", "--json", stdout=out)
    timer.join()
    (line,) = out.getvalue().splitlines()
    assert (json.loads(line)["name"], json.loads(line)["aggregate_id"]) == ("lab.noted", str(A))


def test_an_unknown_name_is_refused(transactional_db):
    with pytest.raises(CommandError, match=r"No contract is called 'lab\.nothing'"):
        call_command("outbox", "follow", "--name", "lab.nothing", "--seconds", "0")
