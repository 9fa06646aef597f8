"""What can be asked of payments. Every command is repeatable: a second one finds what the first has done."""

from decimal import Decimal
from uuid import UUID

from outbox.contracts import Command, Semantics, contract


@contract(
    "payments.authorise_payment",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class AuthorisePayment(Command, frozen=True, kw_only=True):
    """Have the provider hold the payment's amount. First step: register an intent that moves no money yet."""

    payment_id: UUID
    order_id: UUID


@contract(
    "payments.confirm_authorisation",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class ConfirmAuthorisation(Command, frozen=True, kw_only=True):
    """Second step of authorising: confirm the registered intent by its id, which holds the amount."""

    payment_id: UUID
    order_id: UUID


@contract(
    "payments.capture_payment",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class CapturePayment(Command, frozen=True, kw_only=True):
    """Take the whole amount that is held."""

    payment_id: UUID
    order_id: UUID


@contract(
    "payments.void_payment",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class VoidPayment(Command, frozen=True, kw_only=True):
    """Make sure that no money is held or taken: release what is held, give back what was taken.

    No confirmation and no capture starts after it. Always ends in PaymentVoided.
    """

    payment_id: UUID
    order_id: UUID
    reason: str


@contract("payments.grant_refund", version=1, owner="payments", aggregate="payment", key="payment_id")
class GrantRefund(Command, frozen=True, kw_only=True):
    """Set `amount` aside for a refund that will be asked for; nothing else can be paid out of it from then on.

    Answered by RefundGranted.
    """

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str
    reason: str


@contract(
    "payments.refund_payment",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class RefundPayment(Command, frozen=True, kw_only=True):
    """Give `amount` back out of what was taken. `refund_id` names the refund, whatever the number of attempts."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str
    reason: str


@contract(
    "payments.synchronise_payment",
    version=1,
    owner="payments",
    aggregate="payment",
    key="payment_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class SynchronisePayment(Command, frozen=True, kw_only=True):
    """Fetch the payment's state from the provider and bring ours up to it."""

    payment_id: UUID
    order_id: UUID
    reference: str | None = None
    """The intent that a callback spoke of; needed only while ours is not stored yet."""
    poll: bool = False
    """Look again later while the provider is still waiting for something."""
