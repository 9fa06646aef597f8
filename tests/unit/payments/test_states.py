"""The tables of states say what may happen to money."""

import importlib
import re

import pytest

from payments.states import CLEAR, LIVE, OPERATION, PAYMENT, TAKEN, OperationStatus, PaymentStatus

pytestmark = pytest.mark.requirement("M26")


def test_an_operation_of_unknown_outcome_is_never_requested_again():
    assert set(OPERATION.transitions["unknown"]) == {"succeeded", "failed", "pending"}


def test_a_settled_operation_stays_as_it_is():
    assert [state for state in ("succeeded", "failed") if OPERATION.transitions.get(state)] == []


def test_every_status_has_its_place_in_the_tables():
    assert set(PAYMENT.states) == set(PaymentStatus.values)
    assert set(OPERATION.states) == set(OperationStatus.values)


def test_money_taken_leaves_only_by_refund():
    for status in TAKEN:
        assert set(PAYMENT.transitions[status]) <= {"partially_refunded", "refunded"}


def test_open_and_settled_operations_are_told_apart():
    assert {status.value for status in LIVE} == set(OPERATION.states) - set(OPERATION.final)


def test_final_payments_are_those_that_are_clear_of_money():
    assert set(PAYMENT.final) == {status.value for status in CLEAR}


@pytest.mark.parametrize(
    ("table", "machine"), [("payments_payment", PAYMENT), ("payments_paymentoperation", OPERATION)]
)
def test_the_database_guards_the_same_table_of_transitions(table, machine):
    migration = importlib.import_module("payments.migrations.0001_initial").Migration
    guard = next(o for o in migration.operations if f"CREATE TRIGGER {table}_guard" in str(getattr(o, "sql", "")))
    guarded = re.findall(r"\('(\w+)', '(\w+)'\)", guard.sql)
    assert sorted(guarded) == sorted(machine.pairs())
