"""The staff's pages on returns in a real browser: on every screen, and by hand."""

from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.shop import CUP, TEA, delivered

pytestmark = [pytest.mark.requirement("M45"), pytest.mark.django_db(transaction=True)]

LONG = "0123456789" * 20


@pytest.fixture
def returned(busy_shop) -> str:
    order_id = delivered(busy_shop, (TEA, 2), (CUP, 1))
    lines = [{"sku": TEA, "quantity": 2, "reason": LONG}, {"sku": CUP, "quantity": 1, "reason": "A crack"}]
    path = f"orders/ord_{order_id.hex}/returns"
    return busy_shop.post(path, {"lines": lines}, idempotency_key=str(uuid4())).json()["id"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_every_page_fits_the_screen_and_the_browser_has_nothing_to_complain_about(desk, returned, width, scheme):
    at = desk(width=width, scheme=scheme)
    for path in ["/staff/returns/", "/staff/returns/?show=closed", f"/staff/returns/{returned}/"]:
        page = at.open(path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond <= 0, f"{path} is {beyond} px too wide"
    assert at.complaints == []


def test_goods_arrive_and_are_inspected_by_hand(desk, returned):
    at = desk()
    page = at.open("/staff/returns/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Goods arrived…").click()
    page.get_by_role("dialog").get_by_role("button", name="Goods arrived").click()
    expect(page.get_by_text("The goods are in LIS. Inspect them next.")).to_be_visible()
    page.get_by_role("button", name="Inspect…").click()
    page.locator("[name=sellable_0]").fill("1")
    page.locator("[name=damaged_0]").fill("1")
    page.get_by_role("button", name="Write down").click()
    expect(page.get_by_text("1 back on the shelf, 1 damaged")).to_be_visible()
    expect(page.get_by_text("42.30 EUR")).to_be_visible()
    assert at.complaints == []
