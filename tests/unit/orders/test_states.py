"""The order's machine, in code and in the database."""

import importlib

import pytest

from orders.states import ORDER
from outbox.errors import IllegalTransition
from outbox.triggers import GuardStateMachine

migration = importlib.import_module("orders.migrations.0001_initial").Migration


@pytest.mark.requirement("M22", "M26")
def test_the_database_knows_the_same_table_as_the_code():
    guard = next(operation for operation in migration.operations if isinstance(operation, GuardStateMachine))
    for source, target in ORDER.pairs():
        assert f"('{source}', '{target}')" in guard.sql
    assert guard.sql.count("', '") >= len(ORDER.pairs())


@pytest.mark.parametrize("state", ["completed", "rejected", "cancelled"])
def test_final_states_are_left_by_nothing(state):
    assert ORDER.is_final(state)
    assert not any(ORDER.allows(state, other) for other in ORDER.states)


@pytest.mark.parametrize(
    ("source", "target"), [("placed", "completed"), ("placed", "cancelled"), ("confirmed", "rejected")]
)
def test_no_step_is_skipped(source, target):
    with pytest.raises(IllegalTransition):
        ORDER.check(source, target)
