"""Goods that come back: from the customer's wish to the refund, one step at a time."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection

from fulfillment import facade as fulfillment
from fulfillment.facade import Finding, ReturnView
from fulfillment.models import Return, StockItem
from orders.returns import decide_return, inspect_return, receive_return
from outbox.context import scope
from outbox.errors import IllegalTransition
from outbox.invariants import verify
from outbox.models import AuditEntry, Delivery, Message, Saga
from outbox.outcomes import Transient
from outbox.publishing import unit_of_work
from outbox.sagas.attention import expire_late_steps
from payments.gateways.base import RefundStatus
from payments.models import Payment
from tests.integration.orders.world import World, in_order
from tests.shop import CUP, TEA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M24", "M26", "M43")]


@pytest.fixture
def delivered(world) -> World:
    """Two packets of tea and a cup at the customer's: 42.30 EUR, in two parcels."""
    world.place((TEA, 2), (CUP, 1))
    world.run(in_order)
    assert (world.order.status, world.order.fulfillment_status) == ("completed", "delivered")
    return world


def wish(*lines: tuple[str, int], reason: str = "The packet was open.") -> dict:
    return {"lines": [{"sku": sku, "quantity": quantity, "reason": reason} for sku, quantity in lines]}


def ask(world: World, *lines: tuple[str, int], key: str | None = None):
    path = f"orders/{world.order.public_id}/returns"
    return world.customer.post(path, wish(*lines), idempotency_key=key or str(uuid4()))


def asked(world: World, *lines: tuple[str, int]) -> ReturnView:
    answer = ask(world, *lines)
    assert answer.status_code == 201, answer.content
    return view(UUID(answer.json()["id"][4:]))


def view(return_id: UUID) -> ReturnView:
    found = fulfillment.find_return(return_id)
    assert found is not None
    return found


def receive(returned: ReturnView, warehouse: str = "LIS") -> None:
    with scope(actor="staff:ada"), unit_of_work():
        receive_return(returned=returned, warehouse=warehouse)


def inspect(returned: ReturnView, **found: tuple[int, int]) -> None:
    """Write down sellable and damaged pieces; all of each line are sellable unless told otherwise."""
    findings = [
        Finding(sku=line.sku, sellable=sellable, damaged=damaged)
        for line in returned.lines
        for sellable, damaged in [found.get(line.sku.partition("-")[0], (line.quantity, 0))]
    ]
    with scope(actor="staff:ada"), unit_of_work():
        inspect_return(returned=returned, findings=findings)


def refund(world: World, returned: ReturnView, **found: tuple[int, int]) -> ReturnView:
    """Let a return go all the way."""
    receive(returned)
    inspect(returned, **found)
    world.run(in_order)
    return view(returned.id)


def shown(world: World, returned: ReturnView) -> dict:
    return world.customer.get(f"returns/ret_{returned.id.hex}").json()


def on_hand(sku: str, warehouse: str) -> int:
    return StockItem.objects.get(sku=sku, warehouse=warehouse).on_hand


def assert_sound() -> None:
    broken = [verdict for verdict in verify() if verdict.violations]
    assert not broken, broken
    assert not Delivery.objects.exists()


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def test_a_return_is_answered_at_once_and_says_what_it_waits_for(delivered):
    answer = ask(delivered, (TEA, 1))
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == body["links"]["self"]
    assert (body["object"], body["order"], body["status"]) == ("return", delivered.order.public_id, "approved")
    assert [(line["sku"], line["quantity"], line["sellable"]) for line in body["lines"]] == [(TEA, 1, None)]
    assert body["refund"] is None
    delivered.run(in_order)
    listed = delivered.customer.get(f"orders/{delivered.order.public_id}/returns").json()["data"]
    assert [(one["id"], one["progress"]["awaiting"]) for one in listed] == [(body["id"], "arrival of the goods")]
    assert_sound()


def test_a_part_is_paid_back_at_the_price_it_was_bought_at(delivered):
    done = refund(delivered, asked(delivered, (TEA, 1)))
    assert done.status == "closed"
    assert delivered.provider.kept == Decimal("29.40")
    order = delivered.customer.get(f"orders/{delivered.order.public_id}").json()
    assert (order["payment_status"], order["fulfillment_status"]) == ("partially_refunded", "delivered")
    body = shown(delivered, done)
    assert (body["refund"], body["progress"]["state"]) == ({"amount": "12.90", "currency": "EUR"}, "done")
    assert {step["status"] for step in body["progress"]["steps"]} == {"done"}
    assert_sound()


def test_everything_back_is_everything_paid_back(delivered):
    refund(delivered, asked(delivered, (TEA, 1)))
    refund(delivered, asked(delivered, (TEA, 1), (CUP, 1)))
    order = delivered.order
    assert (order.status, order.payment_status, order.fulfillment_status) == ("completed", "refunded", "returned")
    assert delivered.provider.kept == 0
    assert_sound()


def test_what_is_sellable_goes_back_onto_the_shelf_where_it_arrived_and_damaged_goods_do_not(delivered):
    tea, cups = on_hand(TEA, "LIS"), on_hand(CUP, "LIS")
    done = refund(delivered, asked(delivered, (TEA, 2), (CUP, 1)), TEA=(1, 1), CUP=(1, 0))
    assert (on_hand(TEA, "LIS"), on_hand(CUP, "LIS")) == (tea + 1, cups + 1)
    assert done.status == "closed"
    assert delivered.provider.kept == 0
    assert_sound()


def test_pieces_that_were_not_there_are_not_paid_back(delivered):
    refund(delivered, asked(delivered, (TEA, 2)), TEA=(1, 0))
    assert delivered.provider.kept == Decimal("29.40")
    assert ask(delivered, (TEA, 1)).status_code == 422
    assert_sound()


def test_a_return_of_which_nothing_can_be_taken_back_is_rejected_and_may_be_sent_again(delivered):
    done = refund(delivered, asked(delivered, (TEA, 2)), TEA=(0, 0))
    assert (done.status, done.reason_code) == ("rejected", "nothing_to_refund")
    assert shown(delivered, done)["progress"]["state"] == "compensated"
    assert delivered.provider.count("refund") == 0
    assert ask(delivered, (TEA, 2)).status_code == 201
    delivered.run(in_order)
    assert_sound()


@pytest.mark.parametrize(
    ("lines", "pointer", "code"),
    [
        ([(TEA, 3)], "/lines/0/quantity", "not_returnable"),
        ([(TEA, 1), ("BOK-RARE-001", 1)], "/lines/1/sku", "not_in_order"),
        ([(TEA, 1), (TEA, 1)], "/lines/1/sku", "duplicate_sku"),
        ([(TEA, 0)], "/lines/0/quantity", "too_small"),
        ([], "/lines", "too_few"),
    ],
)
def test_what_cannot_come_back_is_refused_and_named(delivered, lines, pointer, code):
    answer = ask(delivered, *lines)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert not Return.objects.exists()


def test_what_has_not_left_yet_cannot_come_back(world):
    world.place((TEA, 1))
    assert ask(world, (TEA, 1)).json()["errors"][0]["code"] == "not_returnable"


def test_what_was_asked_for_already_cannot_be_asked_for_again(delivered):
    asked(delivered, (TEA, 2))
    answer = ask(delivered, (TEA, 1))
    assert answer.json()["errors"][0]["detail"].startswith(f"Of {TEA}, 0 can be returned")


def test_a_repeated_request_is_one_return_and_one_without_a_key_is_refused(delivered):
    first, again = ask(delivered, (TEA, 1), key="same"), ask(delivered, (TEA, 1), key="same")
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Return.objects.count() == 1
    bare = delivered.customer.post(f"orders/{delivered.order.public_id}/returns", wish((TEA, 1)))
    assert bare.json()["code"] == "idempotency_key_required"


def test_another_customers_returns_do_not_exist(delivered, stranger):
    returned = asked(delivered, (TEA, 1))
    order = delivered.order.public_id
    assert stranger.get(f"returns/ret_{returned.id.hex}").status_code == 404
    assert stranger.get(f"orders/{order}/returns").status_code == 404
    assert stranger.post(f"orders/{order}/returns", wish((TEA, 1)), idempotency_key="k").status_code == 404


@pytest.fixture
def late(delivered):
    """A return of goods that came 31 days ago."""
    sql("UPDATE fulfillment_shipment SET delivered_at = delivered_at - interval '31 days'")
    returned = asked(delivered, (TEA, 1))
    delivered.run(in_order)
    assert (returned.late, returned.status) == (True, "requested")
    return returned


def decide(returned: ReturnView, *, approved: bool) -> None:
    with scope(actor="staff:ada"), unit_of_work():
        decide_return(returned=returned, approved=approved, reason="A good customer")


def test_a_late_return_waits_for_a_person_who_may_make_an_exception(delivered, late):
    assert shown(delivered, late)["progress"]["awaiting"] == "a decision by our staff"
    with pytest.raises(IllegalTransition):
        receive(late)
    decide(late, approved=True)
    assert refund(delivered, view(late.id)).status == "closed"
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "set_stock", "set_stock", "set_stock", "set_stock", "set_stock", "decide_return", "receive_return",
        "inspect_return",
    ]  # fmt: skip
    assert_sound()


def test_a_refused_return_tells_the_customer_why(delivered, late):
    decide(late, approved=False)
    delivered.run(in_order)
    body = shown(delivered, late)
    assert (body["status"], body["reason_code"], body["reason"]) == ("rejected", "return_refused", "A good customer")
    with pytest.raises(IllegalTransition):
        decide(late, approved=True)
    assert_sound()


def lapse(returned: ReturnView) -> None:
    sql("UPDATE outbox_saga SET deadline_at = now() - interval '1 second' WHERE key = %s", returned.id)
    expire_late_steps()


def test_goods_that_never_arrive_end_the_return(delivered):
    returned = asked(delivered, (TEA, 1))
    delivered.run(in_order)
    lapse(returned)
    delivered.run(in_order)
    body = shown(delivered, returned)
    assert (body["status"], body["reason"]) == ("rejected", "The goods did not arrive in time.")
    assert_sound()


def test_no_deadline_passes_between_a_decision_and_its_news(delivered):
    returned = asked(delivered, (TEA, 1))
    delivered.run(in_order)
    sql("UPDATE outbox_saga SET deadline_at = now() - interval '1 second' WHERE key = %s", returned.id)
    receive(returned)
    expire_late_steps()
    inspect(returned)
    expire_late_steps()
    delivered.run(in_order)
    assert view(returned.id).status == "closed"
    assert_sound()


def test_received_goods_that_nobody_looks_at_ask_for_a_person(delivered):
    returned = asked(delivered, (TEA, 1))
    receive(returned)
    delivered.run(in_order)
    lapse(returned)
    assert Saga.objects.get(key=returned.id).status == "forward_stuck"
    assert shown(delivered, returned)["progress"]["state"] == "needs_attention"
    inspect(returned)
    delivered.run(in_order)
    assert view(returned.id).status == "closed"
    assert_sound()


@pytest.mark.requirement("M8")
@pytest.mark.parametrize("trouble", ["lost", "503"])
def test_an_unknown_outcome_pays_back_once(delivered, trouble):
    if trouble == "lost":
        delivered.provider.lose_answer("refund")
    else:
        delivered.provider.fail("refund", Transient("503", unknown=True))
    assert refund(delivered, asked(delivered, (TEA, 1))).status == "closed"
    assert delivered.provider.kept == Decimal("29.40")
    assert_sound()


def test_a_refund_that_the_provider_refuses_asks_for_a_person_and_keeps_the_goods_booked(delivered):
    delivered.provider.refund_status = RefundStatus.FAILED
    done = refund(delivered, asked(delivered, (TEA, 1)))
    saga = Saga.objects.get(key=done.id)
    assert (done.status, saga.status) == ("refund_granted", "forward_stuck")
    assert shown(delivered, done)["progress"]["state"] == "needs_attention"
    assert_sound()


def test_the_amount_is_set_aside_before_the_provider_is_asked(delivered):
    returned = asked(delivered, (TEA, 2))
    receive(returned)
    inspect(returned)

    left: list[Decimal] = []
    delivered.provider.before["refund"] = lambda: left.append(Payment.objects.get().refundable())
    delivered.run(in_order)
    assert left == [Decimal("16.50")]
    assert view(returned.id).status == "closed"
    names = list(Message.objects.filter(name__contains="refund").order_by("id").values_list("name", flat=True))
    assert names == [
        "payments.grant_refund", "payments.refund_granted", "payments.refund_payment", "payments.payment_refunded",
    ]  # fmt: skip


@pytest.mark.requirement("M44")
def test_the_feed_tells_of_the_return(delivered):
    done = refund(delivered, asked(delivered, (TEA, 1)))
    told = delivered.customer.get("events?limit=100").json()["data"]
    ours = [(event["type"], event["data"]) for event in told if event["type"].startswith("return.")]
    same = {"reference": None, "return": f"ret_{done.id.hex}"}
    assert ours == [
        ("return.requested", {**same, "pieces": 1}), ("return.approved", same), ("return.received", same),
        ("return.inspected", {**same, "accepted": 1}), ("return.closed", same),
    ]  # fmt: skip


def test_the_timeline_tells_of_the_return(delivered):
    refund(delivered, asked(delivered, (TEA, 1)))
    timeline = delivered.customer.get(f"orders/{delivered.order.public_id}/timeline").json()["data"]
    told = [entry["type"] for entry in timeline if entry["type"].startswith(("return.", "payment.part"))]
    assert told == [
        "return.requested", "return.approved", "return.received", "return.inspected", "return.refund_granted",
        "payment.partially_refunded", "return.closed",
    ]  # fmt: skip


def test_a_parcel_may_come_back_while_the_rest_of_the_order_is_still_to_leave(world):
    world.place((TEA, 1), (CUP, 1))
    while world.order.payment_status != "captured":
        names = list(world.moves())
        held_back = [name for name in names if not (name.startswith("carrier") and world.carrier.collected)]
        world.moves()[(held_back or names)[0]]()
    assert world.order.fulfillment_status == "partially_shipped"
    gone = next(line.sku for p in fulfillment.shipments_of(world.order.id) if p.handed_over_at for line in p.lines)
    other = next(sku for sku in (TEA, CUP) if sku != gone)
    assert ask(world, (other, 1)).json()["errors"][0]["code"] == "not_returnable"
    returned = asked(world, (gone, 1))
    assert refund(world, returned).status == "closed"
    assert (world.order.status, world.order.fulfillment_status) == ("completed", "delivered")
    assert_sound()


@pytest.mark.requirement("M38")
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE payments_paymentoperation SET amount = 12.89 WHERE kind = 'refund'", "orders.refunds_fit_returns"),
        ("UPDATE fulfillment_returnline SET damaged = 0, refused = 1", "orders.refunds_fit_returns"),
        ("UPDATE payments_paymentoperation SET id = gen_random_uuid() WHERE kind = 'refund'",
         "orders.refunds_fit_returns"),
        ("UPDATE outbox_saga SET status = 'running', deadline_at = now() WHERE definition = 'orders.return_order'",
         "orders.returns_are_carried_by_a_saga"),
        ("DELETE FROM outbox_sagastep; DELETE FROM outbox_saga WHERE definition = 'orders.return_order'",
         "orders.returns_are_carried_by_a_saga"),
        ("UPDATE orders_order SET fulfillment_status = 'returned'", "orders.returned_is_shown"),
    ],
)  # fmt: skip
def test_books_that_do_not_fit_a_return_are_found(delivered, damage, found):
    refund(delivered, asked(delivered, (TEA, 1)), TEA=(0, 1))
    assert_sound()
    sql(damage)
    assert found in {verdict.name for verdict in verify() if verdict.violations}
