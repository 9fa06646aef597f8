"""The machines, and that the database was told the same."""

import importlib
import pkgutil
from uuid import UUID

import pytest

from fulfillment import migrations
from fulfillment.references import order_of, order_reference, shipment_of, shipment_reference
from fulfillment.states import (
    CONSIGNMENT,
    DEAD,
    GONE,
    RESERVATION,
    RETURN,
    RETURNABLE,
    SHIPMENT,
    VOIDABLE,
    ConsignmentStatus,
    ReservationStatus,
    ReturnStatus,
    ShipmentStatus,
)
from outbox.triggers import GuardStateMachine

MACHINES = [
    (RESERVATION, ReservationStatus),
    (CONSIGNMENT, ConsignmentStatus),
    (SHIPMENT, ShipmentStatus),
    (RETURN, ReturnStatus),
]


@pytest.mark.requirement("M26")
@pytest.mark.parametrize(("machine", "choices"), MACHINES)
def test_a_machine_names_exactly_the_states_that_a_row_may_have(machine, choices):
    assert set(machine.states) == set(choices.values)


@pytest.mark.requirement("M26")
@pytest.mark.parametrize(("machine", "_"), MACHINES)
def test_the_database_guards_the_same_table_as_the_code(machine, _):
    latest = [sql for sql in installed() if f"'{machine.name}'" in sql][-1]
    expected = GuardStateMachine(
        table=f"fulfillment_{machine.name}",
        column="status",
        machine=machine.name,
        initial=machine.initial,
        transitions={state: sorted(targets) for state, targets in machine.transitions.items()},
        other_starts=machine.other_starts,
    ).sql
    assert (starts(latest), pairs(latest)) == (starts(expected), pairs(expected))


def installed() -> list[str]:
    """Return what the migrations install, the latest last."""
    names = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))
    modules = [importlib.import_module(f"fulfillment.migrations.{name}") for name in names]
    return [op.sql for module in modules for op in module.Migration.operations if isinstance(op, GuardStateMachine)]


def starts(sql: str) -> set[str]:
    return set(sql.split("NOT IN (", 1)[1].split(") THEN", 1)[0].split(", "))


def pairs(sql: str) -> set[str]:
    return set(sql.split(") IN (", 1)[1].split(") THEN", 1)[0].replace("), (", ")|(").split("|"))


def test_every_parcel_is_either_still_here_or_gone_or_will_never_leave():
    assert sorted((*VOIDABLE, *GONE, *DEAD)) == sorted(ShipmentStatus.values)


def test_only_what_has_left_can_come_back():
    assert set(RETURNABLE) < set(GONE)


def test_a_parcel_that_has_left_cannot_be_voided():
    assert not any(SHIPMENT.allows(state, "voided") for state in GONE)


def test_a_consumed_reservation_is_never_given_back():
    assert not any(RESERVATION.allows("consumed", state) for state in RESERVATION.states)


def test_references_lead_back_to_their_ids_and_nothing_else_does():
    some = UUID("0190c1de-0000-7000-8000-000000000001")
    assert order_reference(some) == "ord_0190c1de000070008000000000000001"
    assert order_of(order_reference(some)) == shipment_of(shipment_reference(some)) == some
    assert order_of(shipment_reference(some)) is shipment_of(order_reference(some)) is None
    assert order_of("ord_" + "F" * 32) is order_of(order_reference(some) + "\n") is None
