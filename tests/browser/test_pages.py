"""The staff's pages in a real browser: live, by keyboard, on every screen."""

import re

import pytest
from playwright.sync_api import expect

from orders.models import Order
from outbox.models import Breaker, SagaStep
from tests.shop import order_of

pytestmark = [pytest.mark.requirement("M45"), pytest.mark.django_db(transaction=True)]

LONG = "Marta Oliveira-Vasconcelos da Cunha e Silva Montenegro de Albuquerque, Herdeiros e Filhos Lda."
NO_SPACE = "REFERENCE-" + "0123456789" * 15


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_every_page_fits_the_screen_and_the_browser_has_nothing_to_complain_about(desk, busy_shop, width, scheme):
    busy_shop.customer.name = LONG
    busy_shop.customer.save()
    order = busy_shop.placed(reference=NO_SPACE)
    wish = {"url": f"https://example.com/{NO_SPACE}", "events": ["*"]}
    endpoint = busy_shop.post("webhook_endpoints", wish).json()["id"]
    busy_shop.post(f"webhook_endpoints/{endpoint}/test")
    Breaker.objects.create(destination="payments", state="open", consumers=["payments.create_intent"])
    at = desk(width=width, scheme=scheme)
    for path in [
        "/staff/",
        "/staff/orders/",
        "/staff/orders/?q=nothing-like-it",
        f"/staff/orders/{order['id']}/",
        f"/staff/orders/{order['id']}/?tab=messages",
        "/staff/webhooks/",
        f"/staff/webhooks/{endpoint}/",
        "/staff/sign-in/",
    ]:
        page = at.open(path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond <= 0, f"{path} is {beyond} px too wide"
    assert at.complaints == []


def test_a_new_order_appears_in_the_list_by_itself(desk, busy_shop):
    at = desk()
    page = at.open("/staff/orders/")
    expect(page.get_by_text("No orders yet")).to_be_visible()
    order = busy_shop.placed()
    expect(at.row(order["id"])).to_be_visible(timeout=15_000)


def test_a_row_changes_in_place_and_keeps_the_focus(desk, busy_shop):
    order = busy_shop.placed()
    at = desk()
    page = at.open("/staff/orders/")
    page.keyboard.press("j")
    expect(at.row(order["id"]).get_by_role("link")).to_be_focused()
    Order.objects.update(status="rejected", reason="The card was declined.")
    expect(at.row(order["id"])).to_contain_text("The card was declined.", timeout=15_000)
    expect(at.row(order["id"]).get_by_role("link")).to_be_focused()


def test_nothing_moves_under_the_pointer(desk, busy_shop):
    first = busy_shop.placed()
    at = desk()
    page = at.open("/staff/orders/")
    at.row(first["id"]).hover()
    second = busy_shop.placed()
    expect(page.get_by_text(re.compile("more waiting"))).to_be_visible(timeout=15_000)
    expect(at.row(second["id"])).to_have_count(0)
    page.mouse.move(5, 5)
    expect(at.row(second["id"])).to_be_visible(timeout=15_000)


def test_the_keyboard_searches_opens_and_explains_itself(desk, busy_shop):
    wanted = busy_shop.placed(reference="PO-77")
    busy_shop.placed(reference="XX-1")
    at = desk()
    page = at.open("/staff/")
    page.keyboard.press("/")
    page.wait_for_url("**/staff/orders/#search")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("PO-7")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    assert "q=PO-7" in page.url
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/staff/orders/{wanted['id']}/")
    assert at.complaints == []


def test_the_search_works_without_scripts(browser, live_server, desk, busy_shop):
    busy_shop.placed(reference="PO-77")
    busy_shop.placed(reference="XX-1")
    cookies = desk().page.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{live_server.url}/staff/orders/")
    page.fill("[name=q]", "PO-77")
    page.press("[name=q]", "Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    context.close()


def test_an_operator_cancels_an_order_and_sees_what_came_of_it(desk, busy_shop):
    order = busy_shop.placed()
    at = desk()
    page = at.open(f"/staff/orders/{order['id']}/")
    page.get_by_role("button", name="Cancel order").click()
    dialog = page.get_by_role("dialog", name=re.compile("Cancel order"))
    expect(dialog.get_by_text("2 pieces go back into stock.")).to_be_visible()
    dialog.get_by_label("Reason, shown to the customer").fill("Ordered the wrong tea")
    dialog.get_by_role("button", name="Cancel the order").click()
    expect(page.get_by_text("Cancelling began.")).to_be_visible()
    expect(page.get_by_text("Ordered the wrong tea").first).to_be_visible()
    assert Order.objects.get().status == "cancelling"
    assert at.complaints == []


def test_a_viewer_finds_the_button_off_with_the_reason_beside_it(desk, busy_shop):
    order = busy_shop.placed()
    page = desk(role="viewer").open(f"/staff/orders/{order['id']}/")
    button = page.get_by_role("button", name="Cancel order")
    expect(button).to_have_attribute("aria-disabled", "true")
    words = "Your account may look but not change. Ask a colleague who may cancel orders."
    expect(button).to_have_accessible_description(words)


def test_open_details_stay_open_while_the_page_refreshes(desk, busy_shop):
    order = busy_shop.placed(reference="PO-77")
    at = desk()
    page = at.open(f"/staff/orders/{order['id']}/")
    details = page.locator(".story details").first
    details.locator("summary").click()
    Order.objects.update(status="on_hold", reason="Held for a check")
    expect(page.locator(".pill", has_text="On hold")).to_be_visible(timeout=15_000)
    assert details.evaluate("element => element.open")


def test_a_step_that_changes_how_it_went_says_so_where_people_can_see_it(desk, busy_shop):
    order = busy_shop.placed()
    step = SagaStep.objects.get(name="reserve_stock")
    page = desk().open(f"/staff/orders/{order['id']}/")
    line = page.locator(".steps li").first
    expect(line.locator(".unseen")).to_have_text("Done at ")
    SagaStep.objects.filter(pk=step.pk).update(status="compensated")
    expect(line).to_contain_text("Undone", timeout=15_000)
    expect(line.get_by_text("Undone")).to_be_visible()
    expect(line.locator(".unseen")).to_have_count(0)


def test_the_theme_can_be_switched_and_is_remembered(desk):
    at = desk(scheme="light")
    page = at.open("/staff/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert (light, dark) == ("rgb(248, 248, 246)", "rgb(18, 19, 21)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_a_session_that_ended_leads_to_the_sign_in_page_instead_of_a_stale_one(desk, busy_shop):
    busy_shop.place(order_of())
    at = desk()
    page = at.open("/staff/orders/")
    page.context.clear_cookies()
    page.wait_for_url("**/staff/sign-in/**", timeout=15_000)
