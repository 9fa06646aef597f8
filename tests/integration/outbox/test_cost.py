"""What a drained message costs the database: figures that do not depend on the machine's speed."""

from uuid import uuid4

import pytest
from django.db import connection

from outbox.consumers import Consumer, find
from outbox.engine.identity import Identity
from outbox.publishing import send, unit_of_work
from tests.bench.engine.cost import cost_of_draining
from tests.lab.commands import Idle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M7")]
MESSAGES = 1_000


@pytest.fixture
def me(transactional_db):
    identity = Identity()
    yield identity
    identity.sign_out()


def test_a_drained_message_costs_few_statements_commits_and_bytes_of_log(me, monkeypatch):
    if connection.pg_version < 180_000:
        pytest.skip("PostgreSQL tells how much a session wrote since version 18")
    monkeypatch.setattr("outbox.engine.transactional.BATCH_SECONDS", 10.0)  # a busy machine cuts no batch short
    with unit_of_work():
        for number in range(MESSAGES):
            send(Idle(bench_id=uuid4(), number=number))
    entry = find("lab.idle")
    assert isinstance(entry, Consumer)
    cost = cost_of_draining(entry, MESSAGES, me)
    assert cost.statements <= 0.1
    assert cost.commits <= 0.05
    assert 100 < cost.wal_bytes <= 700
