"""Cancelling through the front door, before any worker has done anything."""

from uuid import UUID

import pytest

from orders import lifecycle
from orders.models import Order
from outbox.models import Message, Saga, Transition
from outbox.publishing import unit_of_work


def uuid_of(order) -> UUID:
    return UUID(order["id"][4:])


@pytest.mark.requirement("M24")
def test_a_cancellation_freezes_the_order_and_starts_undoing_it(shop):
    order = shop.placed()
    response = shop.post(f"orders/{order['id']}/cancellation", {"reason": "Changed my mind."})
    answer = response.json()
    assert response.status_code == 202
    assert (answer["status"], answer["reason"], answer["version"]) == ("cancelling", "Changed my mind.", 2)
    assert answer["progress"]["state"] == "compensating"
    assert response["ETag"].startswith('"2-')
    assert set(Saga.objects.filter(key=uuid_of(order)).values_list("definition", "status")) == {
        ("orders.place_order", "suspended"),
        ("orders.cancel_order", "running"),
    }


def test_a_second_cancellation_is_answered_alike_and_does_nothing(shop):
    order = shop.placed()
    shop.post(f"orders/{order['id']}/cancellation", {"reason": "First."})
    messages = Message.objects.count()
    response = shop.post(f"orders/{order['id']}/cancellation", {"reason": "Second."})
    assert (response.status_code, response.json()["reason"], response.json()["version"]) == (202, "First.", 2)
    assert Message.objects.count() == messages


def test_a_cancellation_needs_no_body(shop):
    order = shop.placed()
    assert shop.post(f"orders/{order['id']}/cancellation", b"").status_code == 202


@pytest.mark.parametrize("final", ["rejected", "completed"])
def test_an_order_that_has_ended_otherwise_cannot_be_cancelled(shop, final):
    order = shop.placed()
    with unit_of_work():
        if final == "rejected":
            lifecycle.reject_order(order_id=uuid_of(order), code="payment_declined", reason="The card was declined.")
        else:
            lifecycle.confirm_order(order_id=uuid_of(order))
            lifecycle.complete_order(order_id=uuid_of(order))
    response = shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"})
    assert (response.status_code, response.json()["code"]) == (409, "order_not_cancellable")
    assert Order.objects.get().status == final


def test_an_order_whose_parcel_has_left_cannot_be_cancelled(shop, monkeypatch):
    order = shop.placed()
    monkeypatch.setattr("orders.services.fulfillment.cancellable", lambda order_id: False)
    response = shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"})
    assert (response.status_code, response.json()["code"]) == (409, "order_not_cancellable")
    assert (Order.objects.get().status, Order.objects.get().version) == ("placed", 1)


@pytest.mark.requirement("M6")
@pytest.mark.parametrize("tag", ['"1"', "1", "*", 'W/"1-abc"', None])
def test_if_match_with_the_present_version_lets_it_through(shop, tag):
    order = shop.placed()
    headers = {"if_match": tag} if tag else {"if_match": shop.get(f"orders/{order['id']}")["ETag"]}
    assert shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"}, **headers).status_code == 202


@pytest.mark.requirement("M6")
@pytest.mark.parametrize("tag", ['"2"', '"0-abc"', '"nonsense"', "nonsense", '"99999999999999999999"'])
def test_if_match_with_another_version_is_a_conflict(shop, tag):
    order = shop.placed()
    response = shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"}, if_match=tag)
    assert (response.status_code, response.json()["code"]) == (412, "version_conflict")
    assert Order.objects.get().status == "placed"


def test_a_refused_cancellation_leads_back_to_where_the_order_was(shop):
    order = shop.placed()
    with unit_of_work():
        lifecycle.confirm_order(order_id=uuid_of(order))
    shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"})
    with unit_of_work():
        lifecycle.refuse_cancellation(order_id=uuid_of(order), code="handed_over", reason="It has left.")
    assert shop.get(f"orders/{order['id']}").json()["status"] == "confirmed"
    told = shop.get(f"orders/{order['id']}/timeline").json()["data"]
    assert [entry["type"] for entry in told if entry["type"].startswith("order.")] == [
        "order.placed",
        "order.confirmed",
        "order.cancelling",
        "order.confirmed",
    ]


def test_a_held_order_goes_back_to_where_it_was_also_after_a_refused_cancellation(shop):
    order = shop.placed()
    with unit_of_work():
        lifecycle.hold_order(order_id=uuid_of(order), code="review", reason="A person looks at it.")
    assert shop.get(f"orders/{order['id']}").json()["status"] == "on_hold"
    shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"})
    with unit_of_work():
        lifecycle.refuse_cancellation(order_id=uuid_of(order), code="handed_over", reason="It has left.")
    assert Order.objects.get().status == "placed"


@pytest.mark.requirement("M26")
def test_every_step_is_in_the_history_that_the_database_keeps(shop):
    order = shop.placed()
    shop.post(f"orders/{order['id']}/cancellation", {"reason": "No"})
    steps = Transition.objects.filter(machine="order", entity_id=uuid_of(order)).values_list("from_state", "to_state")
    assert list(steps) == [("", "placed"), ("placed", "cancelling")]
