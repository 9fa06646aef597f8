"""Given goods and a carrier: what fulfilment's tests start from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from uuid import UUID, uuid4

from django.db import connection

from fulfillment import facade
from fulfillment.carriers.base import Label, LabelRefused, LabelRequest, LabelVoided, ParcelCollected
from fulfillment.commands import FollowParcel
from fulfillment.facade import ReserveLine, ShippingAddress
from fulfillment.models import Consignment, Reservation, Shipment, StockItem
from fulfillment.references import shipment_reference
from outbox.contracts import Command
from outbox.invariants import verify
from outbox.models import Message
from outbox.publishing import no_transaction_open, send, unit_of_work

WAREHOUSES = {"LIS": "PT", "BER": "DE"}


def address(country: str = "PT", postal_code: str = "1100-148") -> ShippingAddress:
    return ShippingAddress(name="A. Reader", line1="1 Quay", city="Lisbon", postal_code=postal_code, country=country)


def stock(sku: str, **on_hand: int) -> None:
    """Put pieces on the shelves: `stock("TEA", LIS=3, BER=1)`."""
    with unit_of_work():
        for code, pieces in on_hand.items():
            facade.define_warehouse(code=code, name=code, country=WAREHOUSES[code])
            facade.set_stock(sku=sku, warehouse=code, on_hand=pieces, reason="given")


def lines(*, may_wait: bool = False, **quantities: int) -> list[ReserveLine]:
    return [
        ReserveLine(line_id=uuid4(), sku=sku, quantity=quantity, weight_grams=250, may_wait=may_wait)
        for sku, quantity in quantities.items()
    ]


def reserve(*, country: str = "PT", order_id: UUID | None = None, may_wait: bool = False, **quantities: int) -> UUID:
    order_id = order_id or uuid4()
    with unit_of_work():
        wanted = lines(may_wait=may_wait, **quantities)
        facade.reserve(order_id=order_id, lines=wanted, ship_to=address(country))
    return order_id


def backorder(order_id: UUID | None = None, **quantities: int) -> UUID:
    """Reserve products that are waited for when they are not there."""
    return reserve(order_id=order_id, may_wait=True, **quantities)


def ask(*commands: Command) -> None:
    with unit_of_work():
        for command in commands:
            send(command)


def level(sku: str, warehouse: str) -> tuple[int, int]:
    """On hand, and reserved."""
    item = StockItem.objects.get(sku=sku, warehouse=warehouse)
    return item.on_hand, item.reserved


def reservations(order_id: UUID) -> list[tuple[str, str, int, str]]:
    rows = Reservation.objects.filter(consignment_id=order_id).order_by("sku", "warehouse")
    return list(rows.values_list("sku", "warehouse_id", "quantity", "status"))


def parcels(order_id: UUID) -> list[tuple[str, str]]:
    return list(Shipment.objects.of(order_id).order_by("warehouse", "id").values_list("warehouse_id", "status"))


def state(order_id: UUID) -> str:
    return Consignment.objects.get(order_id=order_id).status


def told(order_id: UUID) -> list[str]:
    """The events about the order, oldest first, without fulfilment's prefix."""
    events = Message.objects.filter(kind="event", payload__order_id=str(order_id)).order_by("id")
    return [name.removeprefix("fulfillment.") for name in events.values_list("name", flat=True)]


def event(order_id: UUID, name: str, nth: int = -1) -> dict[str, object]:
    found = Message.objects.filter(name=f"fulfillment.{name}", payload__order_id=str(order_id)).order_by("id")
    return list(found)[nth].payload


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def parcel(order_id: UUID, warehouse: str) -> Shipment:
    return Shipment.objects.of(order_id).live().get(warehouse=warehouse)


def report(shipment: Shipment, what: str, sequence: int) -> FollowParcel:
    return FollowParcel(
        shipment_id=shipment.id,
        order_id=shipment.order_id,
        callback_id=uuid4(),
        report=f"parcel.{what}",
        sequence=sequence,
        label_id=shipment.label_id or f"lbl_of_{shipment.warehouse_id}",
        tracking_number=shipment.tracking_number or "TC of the report",
        occurred_at=datetime.now(UTC),
    )


def broken_rules() -> set[str]:
    """The names of fulfilment's invariants that do not hold, without its prefix."""
    broken = {verdict.name for verdict in verify() if verdict.violations}
    return {name.removeprefix("fulfillment.") for name in broken if name.startswith("fulfillment.")}


def at_once(service: Callable[..., object], **arguments: object) -> None:
    """Call a service in a unit of work of its own, as a door would."""
    with unit_of_work():
        service(**arguments)


def elsewhere(work: Callable[[], object]) -> None:
    """Work as another process would: on a connection of its own."""
    try:
        work()
    finally:
        connection.close()


@dataclass
class FakeCarrier:
    """Keeps labels as a carrier does; told what goes wrong, it goes wrong."""

    labels: dict[str, Label] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    collected: set[str] = field(default_factory=set)
    voided: set[str] = field(default_factory=set)
    refused: dict[str, LabelRefused] = field(default_factory=dict)
    """By warehouse: what is answered to a booking."""
    troubles: dict[str, list[Exception]] = field(default_factory=dict)
    """By operation: raised one after the other instead of doing it."""
    after: dict[str, list[Exception]] = field(default_factory=dict)
    """By operation: raised one after the other, when it has been done."""
    meanwhile: dict[str, list[Callable[[], object]]] = field(default_factory=dict)
    """By operation: what another worker does, and commits, while the call is under way."""
    lock: Lock = field(default_factory=Lock)

    def book(self, request: LabelRequest) -> Label | LabelRefused:
        with self._doing("book", request.shipment):
            if request.warehouse in self.refused:
                return self.refused[request.warehouse]
            number = len(self.labels) + 1
            made = Label(id=f"lbl_{number}", tracking_number=f"TC{number}", url=f"http://carrier/{number}")
            self.labels.setdefault(request.shipment, made)
            self._lose("book")
            return self.labels[request.shipment]

    def find(self, shipment: str) -> Label | None:
        with self._doing("find", shipment):
            return self.labels.get(shipment)

    def void(self, label_id: str) -> LabelVoided | ParcelCollected:
        with self._doing("void", label_id):
            if label_id in self.collected:
                return ParcelCollected()
            self.voided.add(label_id)
            self._lose("void")
            return LabelVoided()

    def _lose(self, operation: str) -> None:
        if self.after.get(operation):
            raise self.after[operation].pop(0)

    def collect(self, *shipments: Shipment) -> None:
        """The parcels leave; their labels cannot be voided any more."""
        self.collected |= {self.labels[shipment_reference(each.id)].id for each in shipments}

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    @contextmanager
    def _doing(self, operation: str, subject: str) -> Iterator[None]:
        no_transaction_open()
        with self.lock:
            if self.meanwhile.get(operation):
                elsewhere(self.meanwhile[operation].pop(0))
            self.calls.append((operation, subject))
            if self.troubles.get(operation):
                raise self.troubles[operation].pop(0)
            yield
