"""Payments through the real engine, against a strict provider in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from outbox import consumers
from outbox.consumers import find
from outbox.contracts import Message as Contract
from outbox.models import Delivery, Message
from outbox.publishing import send, unit_of_work
from outbox.retry import RetryPolicy
from payments import facade
from payments.commands import AuthorisePayment, CapturePayment, RefundPayment, VoidPayment
from payments.facade import PaymentView
from payments.models import Payment
from tests.integration.payments.provider import Provider

FEW = RetryPolicy(attempts=4, base_seconds=0.02)
MANY = RetryPolicy(attempts=40, base_seconds=0.02, cap_seconds=0.2)
CALLERS = ("create_intent", "confirm_authorisation", "capture_payment", "void_payment", "refund_payment")


@dataclass
class Case:
    """One order's payment, and the verbs that a saga has."""

    payment_id: UUID
    order_id: UUID
    drain: Callable[..., None]

    def say(self, command: Contract) -> UUID:
        with unit_of_work():
            return send(command)

    def authorise(self) -> None:
        self.say(AuthorisePayment(payment_id=self.payment_id, order_id=self.order_id))
        self.work()

    def capture(self) -> None:
        self.say(CapturePayment(payment_id=self.payment_id, order_id=self.order_id))
        self.work()

    def void(self, reason: str = "The order was cancelled.") -> None:
        self.say(VoidPayment(payment_id=self.payment_id, order_id=self.order_id, reason=reason))
        self.work()

    def refund(self, amount: str, refund_id: UUID | None = None, currency: str = "EUR") -> UUID:
        refund_id = refund_id or uuid7()
        self.say(
            RefundPayment(
                refund_id=refund_id,
                payment_id=self.payment_id,
                order_id=self.order_id,
                amount=Decimal(amount),
                currency=currency,
                reason="A cup arrived broken.",
            )
        )
        self.work()
        return refund_id

    def work(self) -> None:
        """Let the engine do all that is due now; polls a minute away stay in the queue."""
        soon = Delivery.objects.filter(consumer__startswith="payments.", state__in=("ready", "leased", "isolated"))
        later = Delivery.objects.filter(consumer__startswith="payments.", state="scheduled")
        self.drain(until=lambda: not soon.exists() and not any(_within_seconds(due) for due in later.all()))

    @property
    def view(self) -> PaymentView:
        return facade.payment(self.payment_id)

    @property
    def row(self) -> Payment:
        return Payment.objects.get(id=self.payment_id)

    @property
    def events(self) -> list[str]:
        """The names of the events about this payment, in order."""
        names = Message.objects.filter(aggregate_id=self.payment_id, kind="event").order_by("id")
        return [name.removeprefix("payments.payment_") for name in names.values_list("name", flat=True)]

    def event(self, name: str) -> dict:
        return (
            Message.objects.filter(aggregate_id=self.payment_id, name=f"payments.payment_{name}").latest("id").payload
        )

    @property
    def operations(self) -> list[tuple[str, str]]:
        return [(operation.kind, operation.status) for operation in self.view.operations]


def _within_seconds(delivery: Delivery) -> bool:
    return (delivery.due_at - delivery.enqueued_at).total_seconds() < 30


@pytest.fixture
def provider(monkeypatch) -> Provider:
    """The provider; few retries, and quick ones."""
    made = Provider()
    monkeypatch.setattr("payments.handlers.payment_gateway", lambda: made)
    _retry(monkeypatch, FEW)
    return made


@pytest.fixture
def patience(monkeypatch) -> None:
    """Many retries, and quick ones."""
    _retry(monkeypatch, MANY)


def _retry(monkeypatch, policy: RetryPolicy) -> None:
    for name in CALLERS:
        monkeypatch.setitem(find(f"payments.{name}").__dict__, "retry", policy)


@pytest.fixture(autouse=True)
def only_payments_listen(monkeypatch) -> None:
    """Orders of these payments do not exist, so those who would follow them do not listen."""
    for name, listeners in list(consumers._subscribers.items()):
        ours = tuple(listener for listener in listeners if listener.startswith("payments."))
        monkeypatch.setitem(consumers._subscribers, name, ours)


@pytest.fixture
def new_case(drain) -> Callable[..., Case]:
    def make(amount: str = "25.80", currency: str = "EUR", method: str = "pm_card_visa") -> Case:
        case = Case(uuid7(), uuid7(), drain)
        with unit_of_work():
            facade.record_intent(
                payment_id=case.payment_id,
                order_id=case.order_id,
                amount=Decimal(amount),
                currency=currency,
                payment_method=method,
            )
        return case

    return make


@pytest.fixture
def case(new_case) -> Case:
    """A payment of 25.80 EUR that nothing was asked for yet."""
    return new_case()
