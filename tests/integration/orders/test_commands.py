"""The management commands of the orders domain."""

import json
import stat
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from fulfillment import facade as fulfillment
from orders.callers import caller_of
from orders.models import Customer, Product
from outbox.models import AuditEntry
from tests.shop import CUP, TEA, Caller, order_of

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def demo_file(tmp_path, monkeypatch):
    file = tmp_path / "new" / "accounts.json"
    monkeypatch.setenv("TANDEM_DEMO_FILE", str(file))
    return file


def test_a_new_customer_can_use_the_printed_key_at_once():
    printed = dict(line.split() for line in run("create_customer", "Quay & Sons").splitlines())
    caller = caller_of(printed["key"])
    assert caller.public_id == printed["id"]
    assert caller.customer_name == "Quay & Sons"


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("viewer", "orders.view_order", "orders.change_order"),
        ("operator", "outbox.retry_deadletter", "orders.delete_order"),
        ("approver", "outbox.discard_deadletter", "auth.change_user"),
    ],
)
def test_a_new_member_of_staff_may_do_what_the_role_says(role, may, may_not):
    printed = dict(line.split() for line in run("create_staff", "ada", "--role", role).splitlines())
    user = User.objects.get(username="ada")
    assert user.check_password(printed["password"])
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert user.has_perm(may)
    assert not user.has_perm(may_not)


def test_an_account_that_exists_is_not_taken_over():
    run("create_staff", "ada", "--role", "viewer")
    with pytest.raises(CommandError, match="already"):
        run("create_staff", "ada", "--role", "approver")


def test_the_demo_is_a_shop_that_sells(demo_file):
    run("load_demo")
    accounts = json.loads(demo_file.read_text())
    assert stat.S_IMODE(demo_file.stat().st_mode) == 0o600
    assert Product.objects.count() >= 40
    levels = fulfillment.stock_levels(["TEA-EARL-100"])
    assert {level.warehouse for level in levels} == {"LIS", "BER"}
    customer = Customer.objects.get(id=caller_of(accounts["api_key"]).customer_id)
    response = Caller(customer, accounts["api_key"]).place(
        order_of(expected_total={"amount": "25.80", "currency": "EUR"})
    )
    assert response.status_code == 201
    assert caller_of(accounts["second_customer_api_key"]).customer_id != customer.id
    for role in ("staff", "viewer", "operator", "approver"):
        assert User.objects.get(username=accounts[role]["username"]).check_password(accounts[role]["password"])


def test_no_basket_of_twelve_pieces_reaches_the_review_limit(demo_file, settings):
    run("load_demo")
    dearest = max(price.amount for product in Product.objects.all() for price in product.prices.all())
    assert dearest * 12 < float(settings.REVIEW_ABOVE)


def test_loading_the_demo_again_keeps_keys_passwords_and_stock(demo_file):
    run("load_demo")
    first = demo_file.read_text()
    before = (Customer.objects.count(), Product.objects.count(), User.objects.get(username="staff").password)
    stock = fulfillment.stock_levels()
    run("load_demo")
    assert demo_file.read_text() == first
    assert (Customer.objects.count(), Product.objects.count(), User.objects.get(username="staff").password) == before
    assert fulfillment.stock_levels() == stock


def test_loading_the_demo_prints_no_secret(demo_file):
    printed = run("load_demo")
    accounts = json.loads(demo_file.read_text())
    assert accounts["api_key"] not in printed
    assert accounts["staff"]["password"] not in printed


def test_seeding_without_a_demo_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_DATA_DIR", str(tmp_path))
    with pytest.raises(CommandError, match="tandem up"):
        run("seed_orders", "1")


def test_products_are_marked_for_orders_beyond_stock_and_unmarked(shop):
    assert run("allow_backorders", TEA, CUP) == f"{CUP}, {TEA} changed: ordered beyond what is in stock from now on.\n"
    assert run("allow_backorders", TEA) == "Nothing changed: ordered beyond what is in stock from now on.\n"
    assert (
        run("allow_backorders", TEA, "--stop") == f"{TEA} changed: ordered up to what is in stock only from now on.\n"
    )
    assert list(Product.objects.filter(backorder=True).values_list("sku", flat=True)) == [CUP]


def test_marking_a_product_that_is_none_changes_nothing(shop):
    with pytest.raises(CommandError, match="no product NO-SUCH in"):
        run("allow_backorders", TEA, "NO-SUCH")
    assert not Product.objects.filter(backorder=True).exists()


@pytest.mark.requirement("M43")
def test_a_customer_and_a_key_get_limits_of_their_own_and_lose_them(shop, settings):
    customer, prefix = shop.customer.public_id, shop.key[:12]
    assert "500 requests a second" in run("set_rate_limit", customer, "500", "--reason", "Agreed")
    run("set_rate_limit", customer, "5", "--key", prefix)
    account = shop.get("account").json()
    assert (account["rate_limit"], account["api_key"]["rate_limit"]) == (500, 5)
    entries = AuditEntry.objects.filter(action="set_rate_limit").order_by("id")
    assert list(entries.values_list("subject", "reason", "after")) == [
        (customer, "Agreed", {"rate_limit": 500}),
        (account["api_key"]["id"], "decided", {"rate_limit": 5}),
    ]
    run("set_rate_limit", customer, "usual")
    run("set_rate_limit", customer, "usual", "--key", prefix)
    account = shop.get("account").json()
    assert (account["rate_limit"], account["api_key"]["rate_limit"]) == (settings.RATE_LIMIT_PER_SECOND, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["cus_1", "5"], "no customer's id"), (["CUSTOMER", "0"], "from 1 to"), (["CUSTOMER", "many"], "from 1 to"),
     ([f"cus_{'0' * 32}", "5"], "no such customer"), (["CUSTOMER", "5", "--key", "tdm_00000000"], "has no key")],
)  # fmt: skip
def test_a_limit_for_nobody_or_of_no_number_is_refused(shop, arguments, words):
    given = [shop.customer.public_id if argument == "CUSTOMER" else argument for argument in arguments]
    with pytest.raises(CommandError, match=words):
        call_command("set_rate_limit", *given)
