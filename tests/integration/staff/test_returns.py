"""The staff's pages on returns: find, understand, act."""

from uuid import uuid4

import pytest
from django.db import connection

from fulfillment import facade as fulfillment
from fulfillment.models import Return
from orders.models import Order
from outbox.models import AuditEntry, Message, Saga
from outbox.publishing import unit_of_work
from tests.shop import CUP, TEA, delivered

pytestmark = pytest.mark.requirement("M45")


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.fixture
def order(shop) -> Order:
    return Order.objects.get(id=delivered(shop, (TEA, 2), (CUP, 1)))


def ask(shop, order: Order) -> str:
    lines = [{"sku": TEA, "quantity": 2, "reason": "Too strong"}, {"sku": CUP, "quantity": 1, "reason": "A crack"}]
    answer = shop.post(f"orders/{order.public_id}/returns", {"lines": lines}, idempotency_key=str(uuid4()))
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


@pytest.fixture
def returned(shop, order) -> str:
    return ask(shop, order)


@pytest.fixture
def late(shop, order) -> str:
    sql("UPDATE fulfillment_shipment SET delivered_at = now() - interval '31 days'")
    return ask(shop, order)


def page(client, returned: str) -> str:
    answer = client.get(f"/staff/returns/{returned}/")
    assert answer.status_code == 200
    return answer.content.decode()


def send(client, returned: str, what: str, **fields):
    return client.post(f"/staff/returns/{returned}/{what}/", fields, follow=True)


def status() -> str:
    return Return.objects.get().status


def test_a_return_and_its_order_lead_to_each_other(operator, order, returned):
    text = page(operator, returned)
    assert "Too strong" in text
    assert f"/staff/orders/{order.public_id}/" in text
    on_order = operator.get(f"/staff/orders/{order.public_id}/").content.decode()
    assert f"/staff/returns/{returned}/" in on_order
    assert "Goods awaited" in on_order
    assert "Receive the goods" in on_order


def test_goods_are_received_inspected_and_the_page_says_what_follows(operator, returned):
    assert "Goods arrived…" in page(operator, returned)
    assert (
        "The goods are in LIS. Inspect them next."
        in send(operator, returned, "reception", warehouse="LIS").content.decode()
    )
    found = {"sellable_0": 1, "damaged_0": 1, "sellable_1": 0, "damaged_1": 0}
    text = send(operator, returned, "inspection", **found).content.decode()
    assert "The refund follows by itself" in text
    assert "1 back on the shelf, 1 damaged" in text
    assert "1 not taken back" in text
    assert "25.80 EUR" in text
    assert status() == "inspected"
    entries = AuditEntry.objects.filter(action__in=["receive_return", "inspect_return"]).order_by("id")
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("staff:ada", "receive_return"), ("staff:ada", "inspect_return"),
    ]  # fmt: skip


def test_nothing_taken_back_ends_the_return(operator, returned):
    send(operator, returned, "reception", warehouse="LIS")
    nothing = {"sellable_0": 0, "damaged_0": 0, "sellable_1": 0, "damaged_1": 0}
    assert "Nothing was taken back" in send(operator, returned, "inspection", **nothing).content.decode()
    assert status() == "rejected"


@pytest.mark.parametrize(
    "found",
    [
        {"sellable_0": 3, "damaged_0": 0, "sellable_1": 1, "damaged_1": 0},
        {"sellable_0": 2, "damaged_0": 1, "sellable_1": 1, "damaged_1": 0},
        {"sellable_0": -1, "damaged_0": 1, "sellable_1": 1, "damaged_1": 0},
        {"sellable_0": 1, "damaged_0": 1},
    ],
)
def test_findings_that_do_not_fit_change_nothing_and_say_so_where_they_were_given(operator, returned, found):
    send(operator, returned, "reception", warehouse="LIS")
    answer = send(operator, returned, "inspection", **found)
    assert answer.status_code == 422
    assert 'aria-labelledby="inspect-title" data-reopen' in answer.content.decode()
    assert status() == "received"


def test_an_unknown_warehouse_receives_nothing(operator, returned):
    assert send(operator, returned, "reception", warehouse="MOON").status_code == 422
    assert status() == "approved"


def test_a_second_click_says_that_somebody_was_faster(operator, returned):
    send(operator, returned, "reception", warehouse="LIS")
    again = send(operator, returned, "reception", warehouse="LIS")
    assert "Somebody was faster" in again.content.decode()
    assert Message.objects.filter(name="fulfillment.return_received").count() == 1


@pytest.mark.parametrize(("decision", "after"), [("approve", "approved"), ("end", "rejected")])
def test_a_late_return_is_decided_with_a_reason(operator, late, decision, after):
    assert "somebody has to decide" in page(operator, late)
    assert send(operator, late, "decision", decision=decision, reason="").status_code == 422
    send(operator, late, "decision", decision=decision, reason="They were on holiday")
    assert status() == after
    assert AuditEntry.objects.get(action="decide_return").reason == "They were on holiday"


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("decision", {"decision": "end", "reason": "No more"}),
        ("reception", {"warehouse": "LIS"}),
        ("inspection", {"sellable_0": 1}),
    ],
)
def test_a_viewer_sees_and_cannot_act(viewer, returned, what, fields):
    assert "Ask a colleague who looks after returns." in page(viewer, returned)
    assert "Goods arrived…" not in page(viewer, returned)
    assert send(viewer, returned, what, **fields).status_code == 403
    assert status() == "approved"


def test_the_list_shows_what_is_to_be_done(operator, returned):
    assert returned[-8:] in operator.get("/staff/returns/").content.decode()
    assert "None right now" in operator.get("/staff/returns/?show=todo").content.decode()
    send(operator, returned, "reception", warehouse="LIS")
    assert "To be inspected" in operator.get("/staff/returns/?show=todo").content.decode()


def test_the_list_goes_on_where_a_page_ends(operator, shop, order, monkeypatch):
    monkeypatch.setattr("orders.return_pages.PAGE", 1)
    for sku in (TEA, CUP):
        body = {"lines": [{"sku": sku, "quantity": 1, "reason": "No"}]}
        shop.post(f"orders/{order.public_id}/returns", body, idempotency_key=sku)
    older, newer = [row.hex for row in Return.objects.order_by("id").values_list("id", flat=True)]
    first = operator.get("/staff/returns/").content.decode()
    assert newer[-8:] in first
    assert f"before={newer}" in first
    second = operator.get(f"/staff/returns/?before={newer}").content.decode()
    assert older[-8:] in second
    assert "That is all." in second


@pytest.mark.parametrize("query", ["?show=nonsense", "?before=nonsense", "?before=", "?show=&before=%00"])
def test_any_query_shows_a_list(operator, returned, query):
    assert operator.get(f"/staff/returns/{query}").status_code == 200


def test_an_empty_list_says_where_returns_come_from(operator):
    assert "No returns yet" in operator.get("/staff/returns/").content.decode()


@pytest.mark.parametrize("path", ["ret_nonsense", "ret_" + "0" * 32])
def test_a_return_that_is_not_there_is_not_found(operator, path):
    assert operator.get(f"/staff/returns/{path}/").status_code == 404


def test_a_stuck_return_is_among_the_orders_that_need_attention_and_leads_to_the_console(operator, order, returned):
    Saga.objects.filter(definition="orders.return_order").update(status="forward_stuck", reason="The bank said no")
    assert order.public_id[-8:] in operator.get("/staff/orders/?show=attention").content.decode()
    text = page(operator, returned)
    assert "The return is stuck." in text
    assert "The bank said no." in text
    assert f"/admin/outbox/saga/{Saga.objects.get(definition='orders.return_order').id}/" in text


def test_the_lists_statements_do_not_grow_with_its_rows(operator, shop, order, statements):
    def count() -> int:
        statements.clear()
        assert operator.get("/staff/returns/").status_code == 200
        return len(statements)

    with unit_of_work():
        first = fulfillment.returns_of(order.id)
    assert first == []
    lines = [{"sku": TEA, "quantity": 1, "reason": "No"}]
    shop.post(f"orders/{order.public_id}/returns", {"lines": lines}, idempotency_key="1")
    few = count()
    shop.post(f"orders/{order.public_id}/returns", {"lines": lines}, idempotency_key="2")
    assert count() == few
