"""Marking products and writing down counts in the admin: by permission, with a reason, through the services."""

import pytest

from fulfillment import facade as fulfillment
from fulfillment.models import StockItem
from orders.models import Product
from outbox.models import AuditEntry
from tests.integration.staff.conftest import signed_in
from tests.shop import CUP, RARE, TEA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M46")]


@pytest.fixture
def ada(busy_shop):
    return signed_in("ada", "operator")


@pytest.fixture
def vera(busy_shop):
    return signed_in("vera", "viewer")


def act(client, model: str, action: str, ids, **fields) -> str:
    form = {
        "action": action,
        "_selected_action": [str(each) for each in ids],
        "reason": "Agreed with the buyer",
        **fields,
    }
    return client.post(f"/admin/{model}/", form, follow=True).content.decode()


def product(sku: str) -> Product:
    return Product.objects.get(sku=sku)


def shelf(sku: str) -> StockItem:
    return StockItem.objects.get(sku=sku)


def test_a_product_is_marked_for_waiting_and_unmarked(ada, busy_shop):
    page = act(ada, "orders/product", "allow", [product(RARE).id, product(TEA).id])
    assert f"{RARE}, {TEA} changed: ordered beyond what is in stock from now on." in page
    assert busy_shop.placed((RARE, 3))["fulfillment_status"] == "backordered"
    act(ada, "orders/product", "stop", [product(RARE).id])
    assert (product(RARE).backorder, product(TEA).backorder) == (False, True)
    entries = AuditEntry.objects.filter(action="allow_backorders", subject=f"product:{RARE}").order_by("id")
    assert [(entry.actor, entry.reason, entry.after) for entry in entries] == [
        ("staff:ada", "Agreed with the buyer", {"backorder": True}),
        ("staff:ada", "Agreed with the buyer", {"backorder": False}),
    ]


def test_marking_what_is_marked_changes_nothing(ada):
    act(ada, "orders/product", "allow", [product(RARE).id])
    assert "Nothing changed" in act(ada, "orders/product", "allow", [product(RARE).id])
    assert AuditEntry.objects.filter(action="allow_backorders").count() == 1


def test_a_count_goes_to_who_waits_first(ada, busy_shop):
    act(ada, "orders/product", "allow", [product(RARE).id])
    busy_shop.placed((RARE, 3))
    page = act(ada, "fulfillment/stockitem", "write_down", [shelf(RARE).id], on_hand="5")
    assert f"{RARE} in LIS: 5 on hand (+4)." in page
    assert fulfillment.availability([RARE]) == {RARE: 2}
    entry = AuditEntry.objects.get(action="set_stock", subject=f"stock:{RARE}@LIS", reason="Agreed with the buyer")
    assert entry.actor == "staff:ada"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"on_hand": ""}, "Say how many pieces"),
        ({"on_hand": "-1"}, "Say how many pieces"),
        ({"on_hand": "1" * 10}, "Say how many pieces"),
        ({"on_hand": "5", "reason": " "}, "Say why"),
        ({"on_hand": "0"}, "1 are reserved for orders"),
    ],
)
def test_a_count_that_cannot_be_is_refused_in_words(ada, busy_shop, fields, said):
    busy_shop.placed((RARE, 1))
    page = act(ada, "fulfillment/stockitem", "write_down", [shelf(RARE).id], **fields)
    assert said in page
    assert shelf(RARE).on_hand == 1


def test_a_count_is_of_one_line(ada):
    page = act(ada, "fulfillment/stockitem", "write_down", [shelf(RARE).id, shelf(CUP).id], on_hand="5")
    assert "Choose one line" in page
    assert (shelf(RARE).on_hand, shelf(CUP).on_hand) == (1, 1_000)


def test_nothing_is_marked_without_a_reason(ada):
    assert "Say why" in act(ada, "orders/product", "allow", [product(RARE).id], reason="")
    assert not product(RARE).backorder


def test_who_may_only_look_marks_and_counts_nothing(vera):
    act(vera, "orders/product", "allow", [product(RARE).id])
    act(vera, "fulfillment/stockitem", "write_down", [shelf(RARE).id], on_hand="5")
    assert (product(RARE).backorder, shelf(RARE).on_hand) == (False, 1)
    assert vera.get("/admin/orders/product/").status_code == 200


def test_what_is_asked_beside_an_action_is_labelled(ada):
    page = ada.get("/admin/fulfillment/stockitem/").content.decode()
    assert 'aria-label="Pieces on hand"' in page
    assert 'aria-label="Reason"' in page
