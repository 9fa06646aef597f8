"""The sagas of an order, as instances that are under way rely on them."""

import pytest

from orders.sagas import CANCEL_ORDER, PLACE_ORDER, PLACE_ORDER_1, RETURN_ORDER
from outbox.sagas.definition import Saga

pytestmark = pytest.mark.requirement("M24")

BEGINNING, END = (
    ["reserve_stock", "authorise_payment", "review"],
    ["allocate_stock", "book_shipments", "hand_over", "capture_payment", "complete"],
)


@pytest.mark.parametrize(
    ("definition", "version", "steps"),
    [
        (PLACE_ORDER_1, 1, [*BEGINNING, *END]),
        (PLACE_ORDER, 2, [*BEGINNING, "await_stock", *END]),
        (CANCEL_ORDER, 1, ["cancel_shipments", "void_payment", "release_stock"]),
        (RETURN_ORDER, 1, ["request", "approve", "receive", "inspect", "grant_refund", "refund_payment"]),
    ],
    ids=["place_order v1", "place_order v2", "cancel_order v1", "return_order v1"],
)
def test_the_steps_of_a_version_keep_their_places(definition: Saga, version: int, steps: list[str]):
    """An instance stands at the number of a step: to put one in, or to take one out, takes a new version."""
    assert definition.version == version
    assert [step.name for step in definition.steps] == steps


def test_a_refund_answers_the_return_whose_id_it_has():
    fields = RETURN_ORDER.key_fields()
    assert {event.__name__ for event, name in fields.items() if name == "refund_id"} == {
        "RefundGranted", "PaymentRefunded", "PaymentRefundFailed",
    }  # fmt: skip
    assert set(fields.values()) == {"return_id", "refund_id"}
