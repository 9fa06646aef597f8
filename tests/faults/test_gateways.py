"""Payment provider and carrier misbehave in every way there is: all orders end well, and all books agree.

That every invariant holds is checked when the system is stopped (start_system).
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from config.sandboxes.faults import MODES
from tests.journeys.conftest import System, start_system
from tests.journeys.orders import Crowd, await_final, disagreements
from tests.runtime.waiting import eventually

__all__ = ["start_system"]
pytestmark = [pytest.mark.timeout(600), pytest.mark.requirement("M8", "M10", "M39")]
SIDES = ("payments", "carrier")
ORDERS = 20
HARSH = {
    "latency": {"latency_ms": 1500},
    "timeout_after_success": {"latency_ms": 1500},
    "throttle": {"retry_after_s": 1.0},
    "reorder_callbacks": {"latency_ms": 1500},
}
"""What makes a mode quick to try: shorter than its own values, by the same way."""


@pytest.fixture(scope="module")
def system(start_system) -> System:
    return start_system()


@contextmanager
def faults(system: System, *modes: str, rate: float = 0.5) -> Iterator[None]:
    """Switch faults on for both sides, all off at the end."""
    for target in SIDES:
        for mode in modes:
            _fault(system, target=target, mode=mode, rate=rate, **HARSH.get(mode, {}))
    try:
        yield
    finally:
        system.sandbox("DELETE", "/faults")


def _fault(system: System, **described: Any) -> None:
    system.sandbox("POST", "/faults", json=described)


def place_crowd(system: System, seed: int) -> list[str]:
    """Have ORDERS orders placed, some with bad cards, some cancelled; return their ids."""
    crowd = Crowd(system, ORDERS, clients=4, seed=seed)
    crowd.start()
    crowd.join()
    assert crowd.refused == []
    assert len(crowd.placed) == ORDERS
    return list(crowd.placed)


def assert_all_well(system: System, ids: list[str]) -> None:
    """Every order has ended as it should, and the books of all three agree."""
    final = await_final(system, ids, 120)
    assert disagreements(system, final) == []
    ends = Counter(order["status"] for order in final.values())
    assert ends["rejected"] == ORDERS / 10, "the bad cards, and no good one"
    assert ends["completed"] >= ORDERS * 0.8, ends


@pytest.mark.requirement("M11", "M12", "M37")
@pytest.mark.parametrize(
    ("rate", "modes"),
    [
        pytest.param(0.3, ["drop", "error"], id="calls fail before anything was done"),
        pytest.param(0.3, ["timeout_after_success", "garbage"], id="calls succeed and nobody says so"),
        pytest.param(0.5, ["throttle", "duplicate_callbacks", "reorder_callbacks"], id="too much, twice, disordered"),
        *(pytest.param(0.5, [mode], marks=pytest.mark.slow, id=mode) for mode in MODES),
    ],
)
def test_half_of_all_calls_go_wrong_and_every_order_ends_well(system: System, rate: float, modes: list[str]):
    with faults(system, *modes, rate=rate):
        ids = place_crowd(system, seed=len(modes))
        time.sleep(4)  # load, not synchronisation: the faults must meet the work
    assert_all_well(system, ids)


def test_providers_killed_with_calls_in_flight_come_back_and_no_order_is_lost_or_paid_twice(system: System):
    pids = {side: _pid(system, side) for side in SIDES}
    for side in SIDES:
        _fault(system, target=side, mode="latency", latency_ms=1500, rate=1.0, for_s=3)
    ids = place_crowd(system, seed=7)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(_pid(system, side) not in (0, pids[side]) for side in SIDES))
    assert_all_well(system, ids)


def _pid(system: System, side: str) -> int:
    """Return the process of one sandbox; 0 while it is being started again."""
    return int(json.loads((system.home / "processes.json").read_text()).get(side, 0))


@pytest.mark.requirement("M37")
def test_a_provider_that_forgets_its_keys_charges_nobody_twice(system: System):
    with faults(system, "timeout_after_success"):
        ids = place_crowd(system, seed=8)
        forgotten = sum(_forget(system) for _ in range(10))
    assert forgotten > ORDERS
    final = await_final(system, ids, 120)
    ledger = system.sandbox("GET", "/ledger")["payments"]
    for order_id, order in final.items():
        # An intent that was registered twice and never confirmed moves no money, and lapses.
        charges = [payment for payment in ledger if payment["order"] == order_id and _holds_or_took(payment)]
        kept = sum(Decimal(payment["captured"]) - Decimal(payment["refunded"]) for payment in charges)
        assert kept == (Decimal(order["total"]["amount"]) if order["status"] == "completed" else 0), charges
        assert len(charges) <= 1, charges
        assert not any(payment["status"] == "requires_capture" for payment in charges), charges


def _holds_or_took(payment: dict[str, Any]) -> bool:
    return payment["status"] == "requires_capture" or Decimal(payment["captured"]) > 0


def _forget(system: System) -> int:
    time.sleep(0.5)  # load, not synchronisation: let new keys be used, and be forgotten between call and repeat
    return int(system.sandbox("DELETE", "/idempotency_keys")["forgotten"])
