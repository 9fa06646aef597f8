"""Orders that are under way while a release changes what their sagas do."""

import pytest

from orders.sagas import PLACE_ORDER_1
from outbox.models import SagaStep
from tests.integration.orders.world import in_order
from tests.integration.outbox.asking import sql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M24")]


@pytest.mark.parametrize("cancel", [False, True])
def test_an_order_ends_on_the_steps_it_began_with(world, cancel):
    world.place()
    sql("UPDATE outbox_saga SET version = 1")  # both versions begin alike
    world.run(in_order, cancel_when=lambda _: cancel and world.order.status == "confirmed")
    assert world.order.status == ("cancelled" if cancel else "completed")
    world.assert_sound()
    done = SagaStep.objects.filter(saga__definition=PLACE_ORDER_1.name).order_by("position")
    ordinary = [(place, step.name) for place, step in enumerate(PLACE_ORDER_1.steps) if step.name != "review"]
    assert list(done.values_list("position", "name")) == (ordinary[: len(done)] if cancel else ordinary)
