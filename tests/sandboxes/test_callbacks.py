"""Callbacks reach their receiver, signed, at least once, also when it or the sandbox was away."""

import pytest
import stripe
from standardwebhooks import Webhook

from tests.sandboxes.orders import authorised, booking, captured, carrier_call, created
from tests.sandboxes.processes import CARRIER_SECRET, PAYMENT_SECRET, Receiver, Sandbox, eventually

TRAVELLED = ["parcel.collected", "parcel.delivered"]


def booked(carrier: Sandbox, **more: object) -> dict:
    return carrier_call(carrier, "POST", "/v1/labels", booking(**more)).json()


def arrived(receiver: Receiver, name: str, value: str, count: int) -> list[dict]:
    """The documents about one thing, once there are `count`."""
    eventually(lambda: len(receiver.about(name, value)) >= count)
    return receiver.about(name, value)


def test_every_change_of_a_payment_is_called_back_with_stripes_signature(payments, receiver):
    intent = captured(payments)
    payments.stripe().v1.refunds.create({"payment_intent": intent.id})
    documents = arrived(receiver, "id", intent.id, 3)
    assert {document["type"] for document in documents} == {
        *("payment_intent.amount_capturable_updated", "payment_intent.succeeded"),
        "charge.refunded",
    }
    for callback in receiver.taken:
        stripe.Webhook.construct_event(callback.body, callback.headers["Stripe-Signature"], PAYMENT_SECRET)
    assert all(document["data"]["object"]["metadata"]["order"] for document in documents)


def test_a_decline_and_a_void_are_called_back(payments, receiver):
    declined, voided = created(payments, "pm_card_chargeDeclined"), authorised(payments)
    with pytest.raises(stripe.CardError):
        payments.stripe().v1.payment_intents.confirm(declined.id)
    payments.stripe().v1.payment_intents.cancel(voided.id)
    (failed,) = arrived(receiver, "id", declined.id, 1)
    assert failed["type"] == "payment_intent.payment_failed"
    assert failed["data"]["object"]["last_payment_error"]["decline_code"] == "generic_decline"
    assert arrived(receiver, "id", voided.id, 2)[1]["type"] == "payment_intent.canceled"


def test_events_can_be_listed_as_they_were_called_back(payments, receiver):
    intent = authorised(payments)
    (document,) = arrived(receiver, "id", intent.id, 1)
    listed = payments.stripe().v1.events.list({"type": "payment_intent.amount_capturable_updated", "limit": 1})
    assert listed.data[0].id == document["id"]
    assert payments.stripe().v1.events.retrieve(document["id"]).data.object.id == intent.id


def test_a_duplicated_callback_arrives_twice_with_one_id(payments, receiver):
    payments.fault(target="payments", mode="duplicate_callbacks")
    intent = authorised(payments)
    first, second = arrived(receiver, "id", intent.id, 2)
    assert first["id"] == second["id"]


def test_reordered_callbacks_arrive_the_later_one_first(payments, receiver):
    payments.fault(target="payments", mode="reorder_callbacks")
    intent = authorised(payments)
    payments.stripe().v1.payment_intents.cancel(intent.id)
    documents = arrived(receiver, "id", intent.id, 2)
    assert [document["type"] for document in documents] == [
        "payment_intent.canceled",
        "payment_intent.amount_capturable_updated",
    ]


def test_a_parcels_journey_is_called_back_in_order_and_signed(carrier, carrier_receiver):
    label = booked(carrier)
    documents = arrived(carrier_receiver, "label", label["id"], 2)
    assert [(document["type"], document["sequence"]) for document in documents] == list(
        zip(TRAVELLED, (1, 2), strict=True)
    )
    assert {document["tracking_number"] for document in documents} == {label["tracking_number"]}
    for callback in carrier_receiver.taken:
        Webhook(CARRIER_SECRET).verify(callback.body, callback.headers)
        assert callback.headers["webhook-id"] == callback.document["id"]
    assert carrier_call(carrier, "GET", f"/v1/labels/{label['id']}").json()["status"] == "delivered"


def test_a_lost_parcel_is_reported_as_an_exception(carrier, carrier_receiver):
    label = booked(carrier, postal_code="99999")
    documents = arrived(carrier_receiver, "label", label["id"], 2)
    assert [document["type"] for document in documents] == ["parcel.collected", "parcel.exception"]


def test_the_carriers_callbacks_are_duplicated_and_reordered_on_demand(carrier, carrier_receiver):
    carrier.fault(target="carrier", mode="reorder_callbacks")
    carrier.fault(target="carrier", mode="duplicate_callbacks")
    label = booked(carrier)
    types = [document["type"] for document in arrived(carrier_receiver, "label", label["id"], 4)]
    assert types == ["parcel.delivered", "parcel.delivered", "parcel.collected", "parcel.collected"]


def test_refused_callbacks_are_sent_again_until_they_are_taken(carrier, carrier_receiver):
    carrier_receiver.refusing = True
    try:
        label = booked(carrier)
        eventually(lambda: carrier_receiver.refused >= 2)
        assert carrier_receiver.about("label", label["id"]) == []
    finally:
        carrier_receiver.refusing = False
    assert sorted(document["type"] for document in arrived(carrier_receiver, "label", label["id"], 2)) == TRAVELLED
