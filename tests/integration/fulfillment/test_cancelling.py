"""Taking parcels back: all of an order, or none."""

from uuid import uuid4

import pytest

from fulfillment import facade
from fulfillment.carriers.base import LabelRefused
from fulfillment.commands import AllocateStock, BookShipments, CancelShipments, ReleaseStock
from fulfillment.models import Shipment
from fulfillment.services import cancelling, shipping, tracking
from outbox.models import Delivery
from outbox.outcomes import Transient
from outbox.publishing import unit_of_work
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
    sql,
    state,
    stock,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goods_add_up")]


def cancel(order_id) -> None:
    ask(CancelShipments(order_id=order_id, reason="changed my mind"))


@pytest.fixture
def booked(drain, order, carrier):
    ask(BookShipments(order_id=order))
    drain()
    return order


@pytest.mark.requirement("M25")
def test_every_label_is_voided_once_and_the_stock_is_free_when_it_is_released(drain, booked, carrier):
    cancel(booked)
    drain()
    assert parcels(booked) == [("BER", "voided"), ("LIS", "voided")]
    assert told(booked)[2:] == ["shipments_cancelled"]
    assert carrier.operations().count("void") == 2
    assert level("TEA", "LIS") == (9, 2)
    ask(ReleaseStock(order_id=booked, reason="cancelled"))
    drain()
    assert level("TEA", "LIS") == (9, 0)
    assert all(view.lines == () for view in facade.shipments_of(booked))


def test_a_cancellation_is_answered_each_time_and_voids_nothing_twice(drain, booked, carrier):
    cancel(booked)
    cancel(booked)
    drain()
    cancel(booked)
    drain()
    assert told(booked)[2:] == ["shipments_cancelled", "shipments_cancelled"]
    assert carrier.operations().count("void") == 2


def test_an_order_without_parcels_is_cancelled_at_once_and_books_none_afterwards(drain, order, carrier):
    cancel(order)
    drain()
    ask(BookShipments(order_id=order))
    drain()
    assert told(order)[1:] == ["shipments_cancelled", "shipment_booking_failed"]
    assert event(order, "shipment_booking_failed")["code"] == "shipments_cancelled"
    assert parcels(order) == []
    assert carrier.calls == []


def test_an_order_that_reserved_nothing_has_its_cancellation_answered(drain):
    order_id = uuid4()
    cancel(order_id)
    drain()
    assert told(order_id) == ["shipments_cancelled"]


def test_late_commands_after_the_release_change_nothing(drain, order, carrier):
    cancel(order)
    drain()
    ask(ReleaseStock(order_id=order, reason="cancelled"))
    drain()
    ask(AllocateStock(order_id=order), BookShipments(order_id=order))
    drain()
    assert sorted(told(order)[-2:]) == ["shipment_booking_failed", "stock_allocation_failed"]
    assert {row[3] for row in reservations(order)} == {"released"}
    assert state(order) == "released"


def test_parcels_whose_booking_has_not_begun_are_dropped_without_a_call(drain, order, carrier):
    at_once(shipping.book_shipments, order_id=order)
    assert parcels(order) == [("BER", "planned"), ("LIS", "planned")]
    at_once(cancelling.cancel_shipments, order_id=order, reason="changed my mind")
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "voided")]
    assert told(order)[-1] == "shipments_cancelled"
    assert carrier.calls == []


@pytest.mark.requirement("M24")
def test_a_booking_that_comes_through_after_the_cancellation_is_voided(drain, order, carrier):
    def cancelled() -> None:
        at_once(cancelling.cancel_shipments, order_id=order, reason="changed my mind")
        assert state(order) == "cancelling"

    carrier.meanwhile["book"] = [cancelled]
    ask(BookShipments(order_id=order))
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "voided")]
    assert carrier.voided == {label.id for label in carrier.labels.values()} != set()
    assert told(order) == ["stock_allocated", "shipments_cancelled"]


@pytest.mark.parametrize("happened", [True, False], ids=["the label was made", "no label was made"])
def test_a_booking_of_unknown_outcome_leaves_no_label_behind(drain, order, carrier, settings, happened):
    settings.MAX_ATTEMPTS = 1
    lost = Transient("no answer", unknown=True)
    (carrier.after if happened else carrier.troubles)["book"] = [lost, lost]
    ask(BookShipments(order_id=order))
    drain()
    assert told(order)[-1] == "shipment_booking_failed"
    cancel(order)
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "voided")]
    assert len(carrier.labels) == 2
    assert carrier.voided == {label.id for label in carrier.labels.values()}
    assert told(order)[-1] == "shipments_cancelled"


def test_a_booking_of_unknown_outcome_that_turns_out_refused_is_over(drain, order, carrier, settings):
    settings.MAX_ATTEMPTS = 1
    carrier.troubles["book"] = [Transient("no answer", unknown=True)] * 2
    ask(BookShipments(order_id=order))
    drain()
    carrier.refused = dict.fromkeys(("LIS", "BER"), LabelRefused("undeliverable_address", "No route."))
    cancel(order)
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "voided")]
    assert carrier.operations().count("void") == 0
    assert told(order)[-1] == "shipments_cancelled"


def test_a_booking_that_surely_never_reached_the_carrier_is_dropped_without_a_call(drain, order, carrier, settings):
    settings.MAX_ATTEMPTS = 1
    carrier.troubles["book"] = [Transient("refused", unknown=False)] * 2
    ask(BookShipments(order_id=order))
    drain()
    before = list(carrier.calls)
    cancel(order)
    drain()
    assert carrier.calls == before
    assert told(order)[-1] == "shipments_cancelled"


def test_a_void_whose_answer_is_lost_is_repeated(drain, booked, carrier):
    carrier.after["void"] = [Transient("no answer", unknown=True)]
    cancel(booked)
    drain()
    assert carrier.operations().count("void") == 3
    assert told(booked)[2:] == ["shipments_cancelled"]


def test_a_booking_call_that_died_with_its_worker_is_waited_for_and_then_looked_up(drain, order, carrier):
    at_once(shipping.book_shipments, order_id=order)
    sql("DELETE FROM outbox_delivery")
    for shipment in Shipment.objects.of(order):
        with unit_of_work():
            begun = shipping.begin_booking(order_id=order, shipment_id=shipment.id)
        carrier.book(begun[0])
    cancel(order)
    drain(until=lambda: Delivery.objects.filter(waiting_for__contains="being booked").count() == 2)
    assert carrier.operations() == ["book", "book"]
    sql("UPDATE fulfillment_shipment SET call_started_at = now() - interval '61 seconds'")
    drain()
    assert parcels(order) == [("BER", "voided"), ("LIS", "voided")]
    assert sorted(carrier.operations()[2:]) == ["find", "find", "void", "void"]


@pytest.mark.requirement("M24")
def test_a_cancellation_that_meets_a_collected_parcel_sends_the_rest_after_it(drain, booked, carrier):
    lis, ber = parcel(booked, "LIS"), parcel(booked, "BER")
    carrier.collect(lis)
    cancel(booked)
    drain()
    assert parcels(booked) == [("BER", "voided"), ("BER", "ready"), ("LIS", "handed_over")]
    assert told(booked)[2:] == ["shipment_handed_over", "shipment_cancellation_refused", "shipments_booked"]
    handed = event(booked, "shipment_handed_over")
    assert (handed["first"], handed["last"]) == (True, False)
    assert (level("TEA", "LIS"), level("CUP", "BER")) == ((7, 0), (9, 1))
    again = parcel(booked, "BER")
    assert again.id != ber.id
    ask(report(lis, "collected", 1), report(again, "collected", 1))
    drain()
    assert event(booked, "shipment_handed_over")["last"] is True
    assert told(booked).count("shipment_handed_over") == 2
    assert state(booked) == "shipped"


@pytest.mark.requirement("M24")
@pytest.mark.parametrize("carrier_knows", [True, False], ids=["void is refused", "void is granted"])
def test_a_collection_reported_while_the_label_is_being_voided_wins(drain, booked, carrier, carrier_knows):
    lis, ber = parcel(booked, "LIS"), parcel(booked, "BER")

    def collected() -> None:
        for shipment in (lis, ber):
            at_once(tracking.follow_parcel, report=report(shipment, "collected", 1))
        assert state(booked) == "shipped"

    carrier.meanwhile["void"] = [collected]
    if carrier_knows:
        carrier.collect(lis, ber)
    cancel(booked)
    drain()
    handed_over = ["shipment_handed_over", "shipment_handed_over"]
    assert told(booked)[2:] == [*handed_over, "shipment_cancellation_refused", "shipments_booked"]
    assert parcels(booked) == [("BER", "handed_over"), ("LIS", "handed_over")]
    assert (level("TEA", "LIS"), level("CUP", "BER")) == ((7, 0), (8, 0))


def test_once_a_parcel_has_left_nothing_is_voided(drain, booked, carrier):
    ask(report(parcel(booked, "LIS"), "collected", 1))
    drain()
    cancel(booked)
    drain()
    assert parcels(booked) == [("BER", "ready"), ("LIS", "handed_over")]
    assert told(booked)[-1] == "shipment_cancellation_refused"
    assert carrier.operations().count("void") == 0


def test_parcels_taken_back_that_cannot_be_booked_again_still_refuse_the_cancellation(drain, booked, carrier):
    carrier.collect(parcel(booked, "LIS"))
    carrier.refused["BER"] = LabelRefused("undeliverable_address", "No route.")
    cancel(booked)
    drain()
    assert told(booked)[2:] == ["shipment_handed_over", "shipment_cancellation_refused"]
    assert state(booked) == "failed"
    assert level("CUP", "BER") == (9, 1)


def test_an_order_is_cancellable_until_its_first_parcel_has_left(drain, booked):
    with unit_of_work():
        assert facade.cancellable(booked)
        assert facade.cancellable(uuid4())
    ask(report(parcel(booked, "LIS"), "collected", 1))
    drain()
    with unit_of_work():
        assert not facade.cancellable(booked)


def test_cancelling_a_held_order_keeps_the_hold_for_the_release_to_give_back(drain):
    stock("TEA", LIS=1)
    order_id = reserve(TEA=1)
    cancel(order_id)
    ask(ReleaseStock(order_id=order_id, reason="cancelled"))
    drain()
    assert told(order_id) == ["shipments_cancelled", "stock_released"]
    assert level("TEA", "LIS") == (1, 0)
