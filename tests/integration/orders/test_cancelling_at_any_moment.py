"""A customer who changes their mind at every moment of an order's course, and in any order of events.

The real services, sagas and handlers; a strict provider and a carrier in memory. Whatever happens, the order ends, and
money, parcels, stock and messages are where its end says.
"""

import pytest

from tests.integration.orders.world import at_random, go_wrong, in_order, preferring
from tests.shop import CUP, TEA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M24", "M25")]

ONE_PARCEL = [(TEA, 2)]
TWO_PARCELS = [(TEA, 2), (CUP, 1)]
COURSE = 30
"""At least as many moments as an order of two parcels has."""
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 200))]


@pytest.mark.parametrize("lines", [ONE_PARCEL, TWO_PARCELS], ids=["one parcel", "two parcels"])
def test_left_alone_the_order_completes(world, lines):
    world.place(*lines)
    assert 10 < world.run(in_order) < 60
    assert world.order.status == "completed"
    world.assert_sound()


@pytest.mark.parametrize("moment", range(COURSE))
def test_cancelled_at_each_moment_it_ends_either_way_and_nothing_is_left_over(world, moment):
    world.place(*TWO_PARCELS)
    world.run(in_order, cancel_when=moment.__eq__)
    world.assert_sound()
    refused = world.cancelled != 202 or world.order.reason_code == "already_handed_over"
    assert world.order.status == ("completed" if refused else "cancelled")


def test_parcels_collected_before_their_booking_is_recorded_refuse_the_cancellation_and_the_order_goes_on(world):
    world.place(*TWO_PARCELS)
    quick = preferring("fulfillment.book_label", "carrier collects", "fulfillment.cancel", "fulfillment", "orders")
    world.run(quick, cancel_when=lambda _: len(world.carrier.labels) == 2)
    world.assert_sound()
    assert (world.cancelled, world.order.status) == (202, "completed")


@pytest.mark.parametrize("seed", SEEDS)
def test_in_any_order_of_events_a_cancelled_order_ends_and_nothing_is_left_over(world, seed):
    world.place(*TWO_PARCELS)
    world.run(at_random(seed), cancel_when=(seed % COURSE).__eq__)
    world.assert_sound()


@pytest.mark.parametrize("seed", SEEDS)
def test_also_when_calls_fail_or_their_answers_get_lost(world, seed):
    go_wrong(world, seed)
    world.place(*TWO_PARCELS)
    world.run(at_random(seed), cancel_when=(seed % COURSE).__eq__)
    world.assert_sound()
