"""The console's catalogue of contracts in a real browser."""

import pytest

pytestmark = [pytest.mark.requirement("M18", "M46"), pytest.mark.django_db(transaction=True)]
CATALOGUE = "/admin/outbox/message/contracts/"


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_catalogue_fits_the_screen_and_leads_to_each_contract_and_back(desk, width, scheme):
    at = desk(width=width, scheme=scheme)
    page = at.open(CATALOGUE)
    page.get_by_role("link", name="orders.order_placed").click()
    page.wait_for_url(f"**{CATALOGUE}orders.order_placed/")
    assert page.get_by_text("The moment by which the order is counted.").is_visible()
    for path in (f"{CATALOGUE}orders.order_placed/", CATALOGUE):
        page = at.open(path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond <= 0, f"{path} is {beyond} px too wide"
    assert at.complaints == []
