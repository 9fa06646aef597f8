"""A shop with its payment provider and its carrier, moved one step at a time, in whatever order a test likes.

Everything that happens in the real system between two COMMITs is one step here: one worker handles a message, begins
a call, or records how it ended; the carrier collects or delivers a parcel. So a test can put a customer's decision, or
any disorder, between any two of them.
"""

import random
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from fulfillment.carriers.base import LabelRefused
from fulfillment.models import Shipment
from fulfillment.references import shipment_reference
from fulfillment.services import tracking
from fulfillment.values import ParcelReport
from orders.models import Order
from outbox import breakers
from outbox.consumers import ExternalConsumer, find
from outbox.engine.alarms import Alarms
from outbox.engine.external import Caller
from outbox.engine.identity import Identity
from outbox.engine.transactional import run_one
from outbox.invariants import verify
from outbox.models import Delivery, DeliveryState
from outbox.outcomes import Transient
from outbox.publishing import unit_of_work
from tests.integration.fulfillment.goods import FakeCarrier
from tests.integration.payments.provider import Provider
from tests.shop import Caller as Customer

Move = Callable[[], object]
FINAL = ("completed", "rejected", "cancelled")
PATIENCE = 400
"""Moves after which an order that has not ended never will."""


class World:
    """One order, and everybody who acts on it."""

    def __init__(self, customer: Customer, provider: Provider, carrier: FakeCarrier) -> None:
        self.customer, self.provider, self.carrier = customer, provider, carrier
        self.me = Identity()
        self.caller = Caller(self.me, Alarms())
        breakers.register_destinations()
        self.order_id: UUID | None = None
        self.cancelled: Any = None
        self.history: list[str] = []
        self._delivered: set[UUID] = set()

    def close(self) -> None:
        self.caller.close()
        self.me.sign_out()

    @property
    def order(self) -> Order:
        return Order.objects.get(id=self.order_id)

    def place(self, *lines: tuple[str, int], **changes: Any) -> None:
        self.order_id = UUID(self.customer.placed(*lines, **changes)["id"][4:])

    def cancel(self) -> None:
        self.history.append(f"CANCEL while {self.order.status}")
        reason = {"reason": "I changed my mind."}
        self.cancelled = self.customer.post(f"orders/ord_{self.order_id.hex}/cancellation", reason).status_code

    # what may happen next

    def moves(self) -> dict[str, Move]:
        """Return everything that may happen next; timers ring once nothing else is left."""
        ready = Delivery.objects.filter(state__in=[DeliveryState.READY, DeliveryState.ISOLATED]).order_by("id")
        found: dict[str, Move] = {
            f"{delivery.consumer} #{delivery.id}": partial(self._handle, delivery) for delivery in ready
        }
        if self.caller.busy:
            found["record what was called"] = self._record
        found.update(self._of_the_carrier())
        if not found and Delivery.objects.filter(state=DeliveryState.SCHEDULED).exists():
            found["timers ring"] = self._ring
        return found

    def _handle(self, delivery: Delivery) -> None:
        consumer = find(delivery.consumer)
        assert consumer is not None
        if isinstance(consumer, ExternalConsumer):
            self.caller.start(consumer, only=delivery.id)
        else:
            run_one(consumer, delivery.id, self.me)

    def _record(self) -> None:
        wait([call.future for call in self.caller._calls], timeout=10)
        self.caller.collect()

    def _ring(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE outbox_delivery SET state = 'ready', due_at = NULL WHERE state = 'scheduled'")

    def _of_the_carrier(self) -> dict[str, Move]:
        """Return what the carrier may do: collect what it has a label for, deliver what it has collected."""
        found: dict[str, Move] = {}
        for shipment in Shipment.objects.of(self.order_id):
            label = self.carrier.labels.get(shipment_reference(shipment.id))
            if label is None or label.id in self.carrier.voided or shipment.id in self._delivered:
                continue
            collected = label.id in self.carrier.collected
            what = "delivers" if collected else "collects"
            found[f"carrier {what} {label.id}"] = partial(self._report, shipment, label, collected)
        return found

    def _report(self, shipment: Shipment, label: Any, collected: bool) -> None:
        if collected:
            self._delivered.add(shipment.id)
        else:
            self.carrier.collected.add(label.id)
        report = ParcelReport(
            shipment_id=shipment.id,
            order_id=shipment.order_id,
            report="parcel.delivered" if collected else "parcel.collected",
            sequence=2 if collected else 1,
            label_id=label.id,
            tracking_number=label.tracking_number,
            occurred_at=datetime.now(UTC),
        )
        with unit_of_work():
            tracking.receive_callback(webhook_id=str(uuid4()), report=report, body="{}")

    # a whole course

    def run(self, choose: Callable[[list[str]], str], *, cancel_when: Callable[[int], bool] = lambda _: False) -> int:
        """Let things happen until nothing more can; return how many did.

        The customer cancels, once, before the first move of which `cancel_when` says so, given its number.
        """
        for count in range(PATIENCE):
            if self.cancelled is None and cancel_when(count):
                self.cancel()
            moves = self.moves()
            if not moves:
                return count
            chosen = choose(list(moves))
            self.history.append(chosen)
            moves[chosen]()
        raise AssertionError(f"{self.order.status} after {PATIENCE} moves: {self.history}")

    # what must hold at the end

    def assert_sound(self) -> None:
        """The order has ended; money, parcels, stock and messages are where that says."""
        dead = list(Delivery.objects.values("consumer", "state", "last_error"))
        assert not dead, (dead, self.history)
        order = self.order
        assert order.status in FINAL, (order.status, self._sagas(), self.history)
        kept = order.total if order.status == "completed" else 0
        assert self.provider.kept == kept, (order.status, self.provider.intents, self.history)
        assert not any(state.status == "requires_capture" for state in self.provider.intents.values()), self.history
        live = {label.id for label in self.carrier.labels.values()} - self.carrier.voided
        assert bool(live) == (order.status == "completed"), (order.status, live, self.history)
        expected = "delivered" if order.status == "completed" else "released"
        assert order.fulfillment_status == expected, (order.fulfillment_status, self.history)
        broken = [verdict for verdict in verify() if verdict.violations]
        assert not broken, (broken, self.history)

    def _sagas(self) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT definition, status, position, reason FROM outbox_saga")
            return cursor.fetchall()


def in_order(names: list[str]) -> str:
    """Let things happen one after the other; parcels wait until the shop has nothing to do."""
    return names[0]


def preferring(*names: str) -> Callable[[list[str]], str]:
    """Let those whose names begin so act first, in this order of preference; then the others."""
    return lambda moves: min(moves, key=lambda move: [not move.startswith(name) for name in names])


def at_random(seed: int) -> Callable[[list[str]], str]:
    """Let things happen in any order; the same for the same seed.

    Who acts is ranked by chance, and the first in rank acts until nothing is left for them: so some are very fast,
    others very late. Now and then somebody else has a turn.
    """
    dice = random.Random(seed)
    rank: dict[str, float] = {}

    def choose(names: list[str]) -> str:
        if dice.random() < 0.15:
            return dice.choice(names)
        return min(names, key=lambda name: rank.setdefault(name.partition(" ")[0], dice.random()))

    return choose


def go_wrong(world: World, seed: int) -> None:
    """Let some calls fail, before or after they had their effect; the same for the same seed."""
    dice = random.Random(seed)
    for call in ("create_intent", "confirm", "capture", "cancel"):
        trouble = dice.randrange(4)
        if trouble == 0:
            world.provider.lose_answer(call)
        elif trouble == 1:
            world.provider.fail(call, Transient("503", unknown=True))
    for call in ("book", "void"):
        trouble = dice.randrange(4)
        if trouble < 2:
            (world.carrier.after if trouble else world.carrier.troubles)[call] = [Transient("503", unknown=True)]
    if dice.random() < 0.15:
        # Of all warehouses: with one parcel gone and the other refused, only a person can say what is to be done.
        refusal = LabelRefused("no_service", "No carrier route serves this postal code.")
        world.carrier.refused = {"LIS": refusal, "BER": refusal}
