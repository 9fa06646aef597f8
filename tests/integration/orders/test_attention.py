"""Orders that cannot go on by themselves are shown to people; none waits unseen."""

import pytest

from orders import process
from orders.models import Order
from outbox.models import Saga
from outbox.outcomes import Permanent
from outbox.sagas import attention
from tests.integration.orders.world import in_order
from tests.integration.outbox.asking import sql

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.mark.requirement("M25")
def test_an_order_that_cannot_follow_its_payment_says_that_it_needs_attention(busy_shop, world, monkeypatch):
    def fail(*, event, message):
        raise Permanent("the order cannot follow")

    world.place()
    monkeypatch.setattr(process, "follow", fail)
    world.run(in_order)
    progress = busy_shop.get(f"orders/ord_{world.order_id.hex}/progress").json()
    assert progress["state"] == "needs_attention"
    assert (
        next(step for step in progress["steps"] if step["name"] == "authorise_payment")["status"] == "needs_attention"
    )


@pytest.mark.requirement("M25")
def test_a_cancellation_that_cannot_go_on_says_so(busy_shop, world):
    world.place()
    world.provider.fail("cancel", Permanent("the provider knows no such payment"))
    world.run(in_order, cancel_when=lambda count: world.order.payment_status == "authorised")
    progress = busy_shop.get(f"orders/ord_{world.order_id.hex}/progress").json()
    assert (progress["state"], progress["awaiting"]) == ("needs_attention", "release of the money")
    assert world.order.status == "cancelling"


@pytest.mark.requirement("M16")
def test_a_late_step_locks_the_order_before_its_saga(shop, statements):
    shop.placed()
    sql("UPDATE outbox_saga SET deadline_at = now() - interval '1 s'")
    statements.clear()
    attention.expire_late_steps()
    locks = [statement for statement in statements if "FOR UPDATE" in statement]
    assert ["orders_order" in locks[0], "outbox_saga" in locks[1]] == [True, True]
    assert Saga.objects.get().status == "compensating"
    assert Order.objects.get().status == "placed"
