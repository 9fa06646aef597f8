"""What happened to payments. Amounts are in major units of their currency, with its minor digits."""

from decimal import Decimal
from uuid import UUID

from outbox.contracts import Event, contract


@contract("payments.payment_authorised", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentAuthorised(Event, frozen=True, kw_only=True):
    """The amount is held and can be captured."""

    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str


@contract("payments.payment_declined", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentDeclined(Event, frozen=True, kw_only=True):
    """The amount will not be held."""

    payment_id: UUID
    order_id: UUID
    code: str
    reason: str
    """A sentence the customer can read."""


@contract("payments.payment_action_required", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentActionRequired(Event, frozen=True, kw_only=True):
    """The customer has to do something with their bank before the amount can be held."""

    payment_id: UUID
    order_id: UUID


@contract("payments.payment_captured", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentCaptured(Event, frozen=True, kw_only=True):
    """The amount was taken."""

    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str


@contract("payments.payment_capture_failed", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentCaptureFailed(Event, frozen=True, kw_only=True):
    """The provider refused to take the amount, or there was nothing to take. A new CapturePayment tries again."""

    payment_id: UUID
    order_id: UUID
    code: str
    reason: str


@contract("payments.payment_expired", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentExpired(Event, frozen=True, kw_only=True):
    """The provider let go of the held amount, and nobody here had asked for it: there is nothing left to take."""

    payment_id: UUID
    order_id: UUID
    code: str
    reason: str


@contract("payments.payment_voided", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentVoided(Event, frozen=True, kw_only=True):
    """Nothing is held or kept any more: released, given back, or never held. The reply to VoidPayment."""

    payment_id: UUID
    order_id: UUID
    reason: str


@contract("payments.refund_granted", version=1, owner="payments", aggregate="payment", key="payment_id")
class RefundGranted(Event, frozen=True, kw_only=True):
    """A refund's amount is set aside; the provider was not asked yet."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str


@contract("payments.payment_refunded", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentRefunded(Event, frozen=True, kw_only=True):
    """A refund reached the provider's books."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    amount: Decimal
    currency: str


@contract("payments.payment_refund_failed", version=1, owner="payments", aggregate="payment", key="payment_id")
class PaymentRefundFailed(Event, frozen=True, kw_only=True):
    """The provider refused a refund; its amount can be refunded again."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    code: str
    reason: str
