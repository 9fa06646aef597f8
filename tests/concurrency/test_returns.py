"""Returns that race for the same pieces, and for the same refund, on a real PostgreSQL."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from moneyed import Money

from fulfillment import facade
from fulfillment.carriers.base import Label
from fulfillment.facade import Finding, ReturnWish
from fulfillment.models import Return, StockItem
from fulfillment.services.reservations import allocate_stock
from fulfillment.services.shipping import begin_booking, book_shipments, label_booked
from fulfillment.services.tracking import follow_parcel
from outbox.context import scope
from outbox.invariants import verify
from outbox.publishing import unit_of_work
from payments.models import Payment, PaymentOperation
from payments.services import grant_refund
from payments.states import OperationKind, PaymentStatus
from tests.concurrency.test_stock import race
from tests.integration.fulfillment import goods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M6")]


@pytest.fixture
def sent() -> UUID:
    """An order of two packets of tea that left."""
    goods.stock("TEA", LIS=2)
    order_id = goods.reserve(TEA=2)
    with unit_of_work():
        allocate_stock(order_id=order_id)
        book_shipments(order_id=order_id)
    parcel = goods.parcel(order_id, "LIS")
    with unit_of_work():
        begin_booking(order_id=order_id, shipment_id=parcel.id)
        label = Label(id="lbl_1", tracking_number="TC1", url="http://carrier/1")
        label_booked(order_id=order_id, shipment_id=parcel.id, label=label)
    with unit_of_work():
        follow_parcel(report=goods.report(goods.parcel(order_id, "LIS"), "delivered", 1))
    return order_id


def sender(order_id: UUID, quantity: int) -> Callable[[], UUID]:
    def ask() -> UUID:
        with unit_of_work():
            wish = ReturnWish(sku="TEA", quantity=quantity, reason="No")
            return facade.request_return(order_id=order_id, wishes=[wish]).id

    return ask


def outcomes(results: list[object]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def broken(*apps: str) -> set[str]:
    return {v.name for v in verify() if v.violations and v.name.startswith(apps)}


@pytest.mark.parametrize("round_", range(3))
def test_of_twenty_who_send_back_the_last_two_pieces_two_may(sent, round_):
    assert outcomes(race([sender(sent, 1)] * 20)) == {"UUID": 2, "NotReturnable": 18}
    assert Return.objects.count() == 2
    assert broken("fulfillment.") == set()


def test_of_ten_who_write_down_one_inspection_one_does_and_the_goods_come_back_once(sent):
    return_id = sender(sent, 2)()
    with unit_of_work():
        facade.receive_return(return_id=return_id, warehouse="LIS")

    def inspect() -> UUID:
        with scope(actor="staff:ada"), unit_of_work():
            facade.inspect_return(return_id=return_id, findings=[Finding(sku="TEA", sellable=2, damaged=0)])
        return return_id

    assert outcomes(race([inspect] * 10)) == {"UUID": 1, "IllegalTransition": 9}
    assert StockItem.objects.get(sku="TEA").on_hand == 2
    assert broken("fulfillment.") == set()


@pytest.fixture
def captured() -> Payment:
    """A payment over 10.00 EUR that was taken."""
    payment_id = uuid4()
    with unit_of_work():
        payment = Payment.intend(
            payment_id=payment_id, order_id=uuid4(), total=Money("10.00", "EUR"), payment_method="pm_card_visa"
        )
        for kind in (OperationKind.AUTHORISE, OperationKind.CAPTURE):
            PaymentOperation.request(payment, kind).succeed("pi_1", payment.amount)
        for status in (PaymentStatus.AUTHORISING, PaymentStatus.AUTHORISED, PaymentStatus.CAPTURED):
            payment.advance(status)
        payment.add_up()
    return payment


@pytest.mark.parametrize("round_", range(3))
def test_refunds_that_are_granted_at_once_never_exceed_what_was_taken(captured, round_):
    def ask(amount: str) -> Callable[[], object]:
        def grant() -> object:
            with unit_of_work():
                return grant_refund(
                    refund_id=uuid4(),
                    payment_id=captured.id,
                    amount=Decimal(amount),
                    currency="EUR",
                    reason="Test",
                )

        return grant

    results = race([ask("4.00")] * 12)
    assert outcomes(results) == {"NoneType": 2, "NotDone": 10}
    assert Payment.objects.get().refundable() == Decimal("2.00")
    assert broken("payments.") == set()
