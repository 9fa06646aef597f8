"""No state and no message is shown as a code."""

import pytest

from fulfillment.states import ShipmentStatus
from orders import staff_words
from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus
from outbox.contracts import all_contracts
from outbox.models import SagaStatus

TONES = {"progress", "waiting", "done", "attention", "failed"}
OWNERS = {"orders", "payments", "fulfillment"}


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (staff_words.ORDER, OrderStatus),
        (staff_words.PAYMENT, PaymentStatus),
        (staff_words.GOODS, FulfillmentStatus),
        (staff_words.SHIPMENT, ShipmentStatus),
        (staff_words.SAGA, SagaStatus),
    ],
)
def test_every_state_has_words_and_a_tone(words, states):
    assert set(words) == set(states.values)
    assert {entry.tone for entry in words.values()} <= TONES


def test_every_message_of_the_domain_has_a_sentence():
    names = {contract.name for contract in all_contracts() if contract.owner in OWNERS}
    assert {name for name in names if name.rpartition(".")[2] not in staff_words.SENTENCES} == set()


def test_a_sentence_takes_its_figures_from_the_message():
    said = staff_words.sentence_of("payments.payment_captured", {"amount": "25.80", "currency": "EUR"})
    assert said == staff_words.Words("done", "Money captured: 25.80 EUR")


def test_a_message_without_a_sentence_is_called_by_its_name():
    assert staff_words.sentence_of("payments.something_new", {}).word == "Something new"
