"""Booking labels, following parcels, and telling the order."""

from uuid import UUID, uuid4

import pytest

from fulfillment import facade
from fulfillment.carriers.base import LabelRefused
from fulfillment.commands import BookShipments, CancelShipments, ReleaseStock
from fulfillment.models import Shipment, StockMovement
from fulfillment.services import tracking
from outbox.models import Delivery
from outbox.outcomes import Permanent, Throttled, Transient
from tests.integration.fulfillment.goods import (
    ask,
    at_once,
    event,
    level,
    parcel,
    parcels,
    report,
    reservations,
    reserve,
    state,
    stock,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]


@pytest.mark.requirement("M3")
def test_every_warehouse_gets_one_parcel_with_a_label_and_the_weight_of_its_lines(drain, order, carrier):
    ask(BookShipments(order_id=order))
    drain()
    assert parcels(order) == [("BER", "ready"), ("LIS", "ready")]
    assert state(order) == "booked"
    assert told(order) == ["stock_allocated", "shipments_booked"]
    assert event(order, "shipments_booked")["shipments"] == 2
    shown = {view.warehouse: view for view in facade.shipments_of(order)}
    assert (shown["LIS"].weight_grams, shown["BER"].weight_grams) == (500, 250)
    assert [(line.sku, line.quantity) for line in shown["LIS"].lines] == [("TEA", 2)]
    assert {view.tracking_number for view in shown.values()} == {"TC1", "TC2"}
    assert carrier.operations() == ["book", "book"]


def test_a_repeated_booking_command_is_answered_again_and_books_nothing_more(drain, order, carrier):
    ask(BookShipments(order_id=order))
    drain()
    ask(BookShipments(order_id=order))
    drain()
    assert told(order) == ["stock_allocated", "shipments_booked", "shipments_booked"]
    assert len(carrier.labels) == 2


def test_nothing_is_booked_before_the_stock_is_allocated(drain, carrier):
    stock("TEA", LIS=1)
    order_id = reserve(TEA=1)
    ask(BookShipments(order_id=order_id))
    drain(until=lambda: Delivery.objects.filter(attempts=1).exists())
    assert parcels(order_id) == []
    assert "allocate it first" in Delivery.objects.get().last_error


@pytest.mark.requirement("M8")
@pytest.mark.parametrize("happened", [True, False], ids=["the label was made", "no label was made"])
def test_a_booking_whose_answer_is_lost_looks_the_label_up_before_it_asks_again(drain, order, carrier, happened):
    lost = Transient("no answer", unknown=True)
    (carrier.after if happened else carrier.troubles)["book"] = [lost, lost]
    ask(BookShipments(order_id=order))
    drain()
    assert parcels(order) == [("BER", "ready"), ("LIS", "ready")]
    assert carrier.operations().count("find") == 2
    assert carrier.operations().count("book") == (2 if happened else 4)
    assert len(carrier.labels) == 2


def test_an_attempt_that_never_reached_the_carrier_needs_no_lookup(drain, order, carrier):
    carrier.troubles["book"] = [Transient("refused", unknown=False)]
    ask(BookShipments(order_id=order))
    drain()
    assert carrier.operations() == ["book", "book", "book"]
    assert state(order) == "booked"


@pytest.mark.requirement("M11")
def test_a_carrier_that_asks_for_a_pause_costs_no_attempt(drain, order, carrier):
    carrier.troubles["book"] = [Throttled("pause", retry_after=0.2)]
    ask(BookShipments(order_id=order))
    drain()
    assert state(order) == "booked"


def test_a_parcel_refused_for_good_is_told_once_and_its_sibling_is_voided_when_the_order_cancels(drain, order, carrier):
    carrier.refused["LIS"] = LabelRefused("undeliverable_address", "No carrier route serves this postal code.")
    ask(BookShipments(order_id=order))
    drain()
    assert ("LIS", "failed") in parcels(order)
    assert told(order) == ["stock_allocated", "shipment_booking_failed"]
    assert event(order, "shipment_booking_failed")["code"] == "undeliverable_address"
    ask(CancelShipments(order_id=order, reason="refused"))
    drain()
    ask(ReleaseStock(order_id=order, reason="refused"))
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "failed")]
    assert told(order)[2:] == ["shipments_cancelled", "stock_released"]
    assert (level("TEA", "LIS"), level("CUP", "BER")) == ((9, 0), (9, 0))


def test_two_refused_parcels_are_one_failure(drain, order, carrier):
    refusal = LabelRefused("undeliverable_address", "No carrier route serves this postal code.")
    carrier.refused = {"LIS": refusal, "BER": refusal}
    ask(BookShipments(order_id=order))
    drain()
    assert told(order) == ["stock_allocated", "shipment_booking_failed"]


def test_a_carrier_that_fails_to_the_last_attempt_fails_the_booking(drain, order, carrier, settings):
    settings.MAX_ATTEMPTS = 1
    carrier.troubles["book"] = [Transient("503", unknown=True)] * 2
    ask(BookShipments(order_id=order))
    drain()
    assert told(order) == ["stock_allocated", "shipment_booking_failed"]
    assert event(order, "shipment_booking_failed")["code"] == "carrier_unavailable"
    carrier.troubles["book"] = []
    ask(CancelShipments(order_id=order, reason="failed"))
    drain()
    assert {status for _, status in parcels(order)} == {"voided"}
    assert told(order)[-1] == "shipments_cancelled"


def test_what_is_wrong_with_us_is_left_to_a_person_and_fails_no_order(drain, order, carrier):
    carrier.troubles["book"] = [Permanent("401 invalid_api_key")] * 2
    ask(BookShipments(order_id=order))
    drain()
    assert told(order) == ["stock_allocated"]
    assert Delivery.objects.filter(state="dead", consumer="fulfillment.book_label").count() == 2


def _booked(drain, order_id: UUID) -> tuple[Shipment, Shipment]:
    ask(BookShipments(order_id=order_id))
    drain()
    return parcel(order_id, "LIS"), parcel(order_id, "BER")


@pytest.mark.requirement("M3")
def test_handing_over_consumes_the_stock_and_tells_the_first_and_the_last_parcel(drain, order, carrier):
    lis, ber = _booked(drain, order)
    ask(report(lis, "collected", 1))
    drain()
    assert (level("TEA", "LIS"), level("CUP", "BER")) == ((7, 0), (9, 1))
    assert event(order, "shipment_handed_over") == {
        "shipment_id": str(lis.id),
        "order_id": str(order),
        "first": True,
        "last": False,
    }
    assert state(order) == "booked"
    ask(report(ber, "collected", 1))
    drain()
    handed = event(order, "shipment_handed_over")
    assert (handed["first"], handed["last"]) == (False, True)
    assert state(order) == "shipped"
    assert [row[3] for row in reservations(order)] == ["consumed", "consumed"]
    moved = StockMovement.objects.filter(kind="hand_over").order_by("sku").values_list("sku", "delta", "shipment_id")
    assert list(moved) == [("CUP", -1, ber.id), ("TEA", -2, lis.id)]


def test_delivery_of_the_last_parcel_is_told(drain, order, carrier):
    lis, ber = _booked(drain, order)
    ask(report(lis, "collected", 1), report(ber, "collected", 1))
    drain()
    ask(report(lis, "delivered", 2))
    drain()
    assert event(order, "shipment_delivered")["last"] is False
    ask(report(ber, "delivered", 2))
    drain()
    assert event(order, "shipment_delivered")["last"] is True
    assert all(view.delivered_at for view in facade.shipments_of(order))


@pytest.mark.requirement("M8")
def test_reports_that_come_twice_and_in_the_wrong_order_move_a_parcel_forward_only(drain, order, carrier):
    lis, _ = _booked(drain, order)
    for what, sequence in [("delivered", 2), ("collected", 1), ("delivered", 2), ("collected", 1)]:
        ask(report(lis, what, sequence))
        drain()
    assert parcel(order, "LIS").status == "delivered"
    assert told(order)[2:] == ["shipment_handed_over", "shipment_delivered"]
    assert level("TEA", "LIS") == (7, 0)


def test_a_collection_that_is_reported_before_the_booking_is_recorded_counts_as_booked(drain, order, carrier):
    def collected() -> None:
        at_once(tracking.follow_parcel, report=report(parcel(order, "BER"), "collected", 1))
        assert parcel(order, "BER").status == "handed_over"

    carrier.meanwhile["book"] = [collected]
    ask(BookShipments(order_id=order))
    drain()
    assert parcels(order) == [("BER", "handed_over"), ("LIS", "ready")]
    assert told(order) == ["stock_allocated", "shipment_handed_over", "shipments_booked"]
    assert (level("CUP", "BER"), level("TEA", "LIS")) == ((8, 0), (9, 2))
    assert parcel(order, "BER").label_url


def test_trouble_with_a_parcel_that_left_is_told(drain, order, carrier):
    lis, _ = _booked(drain, order)
    ask(report(lis, "collected", 1))
    drain()
    ask(report(lis, "exception", 2))
    drain()
    assert parcel(order, "LIS").status == "exception"
    assert event(order, "shipment_exception")["status"] == "exception"
    ask(report(lis, "delivered", 3))
    drain()
    assert parcel(order, "LIS").status == "delivered"


@pytest.mark.requirement("M13")
def test_a_report_that_cannot_be_is_set_aside_for_a_person(drain, order, carrier):
    lis, _ = _booked(drain, order)
    ask(CancelShipments(order_id=order, reason="changed my mind"))
    drain()
    ask(report(lis, "collected", 1))
    drain()
    dead = Delivery.objects.get(state="dead")
    assert "a parcel that is voided" in dead.last_error
    assert dead.attempts == 1
    assert level("TEA", "LIS") == (9, 2)


def test_a_report_about_an_unknown_parcel_is_set_aside(drain):
    unknown = Shipment(id=uuid4(), consignment_id=uuid4(), label_id="lbl_1", tracking_number="TC1")
    ask(report(unknown, "collected", 1))
    drain()
    assert "has no parcel" in Delivery.objects.get(state="dead").last_error
