"""Deciding about an order that is held for a review."""

from decimal import Decimal

import pytest

from orders.models import Order
from outbox.models import AuditEntry, Message

pytestmark = pytest.mark.requirement("M45")


@pytest.fixture
def held(shop) -> Order:
    shop.placed(reference="LARGE")
    Order.objects.update(status="on_hold", reason_code="review", reason="We look at large orders.")
    return Order.objects.get(reference="LARGE")


def decide(client, order, decision, **fields):
    form = {"reason": "Known customer", "version": order.version, "decision": decision, **fields}
    return client.post(f"/staff/orders/{order.public_id}/review/", form, follow=True)


def messages() -> set[str]:
    return set(Message.objects.filter(name__startswith="orders.review").values_list("name", flat=True))


def test_a_held_order_offers_both_decisions_to_those_who_may_decide(operator, viewer, held):
    page = f"/staff/orders/{held.public_id}/"
    assert "Let it pass…" in operator.get(page).content.decode()
    assert "Let it pass…" not in viewer.get(page).content.decode()


@pytest.mark.parametrize(
    ("decision", "message"), [("pass", "orders.review_passed"), ("refuse", "orders.review_refused")]
)
def test_a_decision_is_sent_on_and_recorded_with_its_reason(operator, held, decision, message):
    assert decide(operator, held, decision).status_code == 200
    assert messages() == {message}
    entry = AuditEntry.objects.get(subject=held.public_id)
    assert (entry.actor, entry.reason, entry.after) == ("staff:ada", "Known customer", {"passed": decision == "pass"})


def test_a_viewer_cannot_decide(viewer, held):
    assert decide(viewer, held, "pass").status_code == 403
    assert messages() == set()


@pytest.mark.parametrize("fields", [{"reason": ""}, {"decision": "maybe"}])
def test_an_incomplete_decision_changes_nothing(operator, held, fields):
    assert decide(operator, held, **{"decision": "pass", **fields}).status_code == 422
    assert messages() == set()


def test_an_order_that_is_not_held_cannot_be_reviewed(operator, shop):
    shop.placed()
    answer = decide(operator, Order.objects.get(), "pass")
    assert "it does not wait for a review" in answer.content.decode()
    assert messages() == set()


def test_a_decision_without_a_reason_asks_for_one_where_it_was_taken(operator, held):
    page = decide(operator, held, "refuse", reason="").content.decode()
    assert 'aria-labelledby="refuse-title" data-reopen' in page
    assert page.count("Give a reason; the customer reads it.") == 1


def test_a_stale_decision_changes_nothing(operator, held):
    Order.objects.update(version=2)
    answer = decide(operator, held, "refuse", version=1)
    assert "Somebody changed the order while you were looking." in answer.content.decode()
    assert messages() == set()


def test_the_amount_that_is_reviewed_is_on_the_page(operator, held):
    assert f"{Decimal(held.total):,.2f} EUR" in operator.get(f"/staff/orders/{held.public_id}/").content.decode()
