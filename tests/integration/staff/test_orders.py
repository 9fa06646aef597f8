"""The list of orders: searching, filtering, paging, refreshing."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from orders.models import Order
from orders.staff_selectors import find_orders
from outbox.models import Delivery, Message, Saga
from tests.shop import CUP, make_caller

pytestmark = pytest.mark.requirement("M45")


def shown(client, **query) -> list[str]:
    """Return the public ids in the list, as the page shows them."""
    return re.findall(r'data-row data-mark data-key="(ord_\w+)"', client.get("/staff/orders/", query).content.decode())


def test_an_empty_list_says_what_to_do(viewer):
    assert "seed_orders" in viewer.get("/staff/orders/").content.decode()


def test_orders_are_listed_newest_first(viewer, shop):
    first, second = shop.placed()["id"], shop.placed()["id"]
    assert shown(viewer) == [second, first]


def test_an_order_is_found_by_anything_it_is_known_by(viewer, shop):
    other = make_caller("Harbour Café")
    wanted = shop.placed((CUP, 1), reference="PO-77")
    unwanted = other.placed(reference="XX-1")
    row = Order.objects.get(reference="PO-77")
    row.customer.email = "orders@quay.example"
    row.customer.save()
    for query in [
        wanted["id"],
        str(row.id),
        row.id.hex,
        f"pay_{row.payment_id.hex}",
        str(row.correlation_id),
        "PO-7",
        "po-77",
        "Quay",
        "quay & s",
        "orders@quay",
        "CUP-PORC",
        row.customer.public_id,
    ]:
        assert shown(viewer, q=query) == [wanted["id"]], query
    assert unwanted["id"] in shown(viewer, q="harbour")


def test_an_order_is_found_by_the_part_of_its_id_that_is_shown(viewer, shop):
    shop.placed()
    wanted = shop.placed()["id"]
    digits = wanted.removeprefix("ord_")
    for query in [digits[-8:], f"…{digits[-8:]}", f"ord_…{digits[-8:]}", f"ord_{digits[:26]}", str(UUID(digits))[:30]]:
        assert shown(viewer, q=query) == [wanted], query
    assert len(shown(viewer, q=f"ord_{digits[:4]}")) == 2
    assert shown(viewer, q=f"…{digits[:8]}") == []


def test_a_part_of_an_id_is_looked_up_in_an_index(shop, statements):
    template = Order.objects.get(id=UUID(shop.placed()["id"].removeprefix("ord_")))
    Order.objects.bulk_create(_copies(template, 2_000))
    statements.clear()
    list(find_orders("ord_…cd3884e0", ""))
    lookup = next(statement for statement in statements if "right(" in statement)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_order")
        cursor.execute(f"EXPLAIN {lookup}", ["cd3884e0"])
        assert "order_by_id_ending" in str(cursor.fetchall())


def _copies(order: Order, number: int) -> Iterator[Order]:
    """Yield rows like `order`: the planner weighs an index only where there are rows to find."""
    fields = {field.attname: getattr(order, field.attname) for field in Order._meta.concrete_fields}
    for _ in range(number):
        yield Order(**{**fields, "id": uuid7(), "payment_id": uuid7()})


def test_an_order_that_waits_for_the_customers_bank_says_so_and_bothers_nobody(viewer, shop):
    shop.placed()
    Order.objects.update(payment_status="requires_action")
    assert "The customer must confirm with their bank." in viewer.get("/staff/orders/").content.decode()
    assert shown(viewer, show="attention") == []
    page = viewer.get(f"/staff/orders/{Order.objects.get().public_id}/").content.decode()
    assert "<strong>The customer must confirm with their bank.</strong>" in page


@pytest.mark.parametrize("query", ["nothing", "ord_" + "0" * 32, "%", "\0", "' OR 1=1 --", "x" * 500])
def test_a_search_without_a_match_says_so_and_how_to_go_on(viewer, shop, query):
    shop.placed()
    page = viewer.get("/staff/orders/", {"q": query})
    assert page.status_code == 200
    if query != "\0":
        assert "No order matches" in page.content.decode()


def test_a_name_cannot_smuggle_markup_into_the_page(viewer, shop):
    shop.placed(reference="<script>alert(1)</script>")
    page = viewer.get("/staff/orders/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_chips_show_orders_of_one_kind(viewer, shop):
    placed, cancelled = shop.placed()["id"], shop.placed()["id"]
    shop.post(f"orders/{cancelled}/cancellation", {"reason": "no longer needed"})
    assert shown(viewer, show="cancelled") == [cancelled]
    assert set(shown(viewer, show="open")) == {placed, cancelled}
    assert shown(viewer, show="completed") == []


@pytest.mark.parametrize("cause", ["stuck saga", "dead letter", "hold"])
def test_orders_that_wait_for_a_person_have_a_chip_of_their_own(viewer, shop, cause):
    shop.placed()
    troubled = shop.placed()["id"]
    order = Order.objects.order_by("placed_at").last()
    if cause == "stuck saga":
        Saga.objects.filter(key=order.id).update(status="forward_stuck")
    elif cause == "dead letter":
        message = Message.objects.filter(correlation_id=order.correlation_id).first()
        Delivery.objects.filter(message_id=message.id).update(state="dead")
    else:
        Order.objects.filter(id=order.id).update(status="on_hold")
    assert shown(viewer, show="attention") == [troubled]


def test_pages_follow_the_key_so_that_new_orders_move_nothing(viewer, shop):
    ids = [shop.placed()["id"] for _ in range(5)]
    page = viewer.get("/staff/orders/", {"limit": 2}).content.decode()
    older = re.search(r'href="([^"]*cursor=[^"]*)"', page)[1].replace("&amp;", "&")
    shop.placed()
    second = viewer.get(older).content.decode()
    assert re.findall(r'data-key="(ord_\w+)"', second) == [ids[2], ids[1]]
    assert "Newer" in second


@pytest.mark.parametrize("query", ["cursor=nonsense", "limit=0", "limit=x"])
def test_a_mangled_page_address_leads_back_to_the_list(viewer, shop, query):
    assert viewer.get(f"/staff/orders/?{query}")["Location"] == "/staff/orders/"


def test_a_refresh_answers_only_the_part_that_changes(viewer, shop):
    shop.placed()
    part = viewer.get("/staff/orders/", headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert "HX-Request" in part["Vary"]
    assert part.content.decode().count("data-row") == 1


def test_the_number_of_statements_does_not_grow_with_finished_orders(viewer, shop, django_assert_max_num_queries):
    for _ in range(6):
        shop.placed(reference=str(uuid4()))
    Order.objects.update(status="placed")
    with django_assert_max_num_queries(30):
        viewer.get("/staff/orders/")
