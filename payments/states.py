"""The states of payments and of their operations, and which may follow which."""

from django.db import models

from outbox.machines import StateMachine


class PaymentStatus(models.TextChoices):
    """Where a payment stands; derived from its operations."""

    CREATED = "created"
    AUTHORISING = "authorising"
    REQUIRES_ACTION = "requires_action"
    AUTHORISED = "authorised"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"


class OperationKind(models.TextChoices):
    """What was asked of the provider."""

    AUTHORISE = "authorise"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class OperationStatus(models.TextChoices):
    """How far the asking has come."""

    REQUESTED = "requested"
    """Decided; nothing that moves money was sent."""
    IN_FLIGHT = "in_flight"
    """Sent, or about to be."""
    UNKNOWN = "unknown"
    """Sent, and the answer is missing: to be looked up, never to be repeated blindly."""
    PENDING = "pending"
    """Accepted; the provider waits for the customer or a bank."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


S, O = PaymentStatus, OperationStatus  # noqa: E741 - the tables below are read as tables

PAYMENT = StateMachine(
    "payment",
    initial=S.CREATED.value,
    transitions={
        S.CREATED.value: {S.AUTHORISING.value, S.VOIDED.value},
        S.AUTHORISING.value: {S.REQUIRES_ACTION.value, S.AUTHORISED.value, S.DECLINED.value, S.VOIDED.value},
        S.REQUIRES_ACTION.value: {S.AUTHORISED.value, S.DECLINED.value, S.VOIDED.value, S.EXPIRED.value},
        S.AUTHORISED.value: {S.PARTIALLY_CAPTURED.value, S.CAPTURED.value, S.VOIDED.value, S.EXPIRED.value},
        S.PARTIALLY_CAPTURED.value: {S.PARTIALLY_REFUNDED.value, S.REFUNDED.value},
        S.CAPTURED.value: {S.PARTIALLY_REFUNDED.value, S.REFUNDED.value},
        S.PARTIALLY_REFUNDED.value: {S.REFUNDED.value},
        # A provider may report money taken after it confirmed the release; it is booked, then given back.
        S.VOIDED.value: {S.PARTIALLY_CAPTURED.value, S.CAPTURED.value},
    },
    final={S.REFUNDED.value, S.DECLINED.value, S.VOIDED.value, S.EXPIRED.value},
)

OPERATION = StateMachine(
    "payment_operation",
    initial=O.REQUESTED.value,
    transitions={
        O.REQUESTED.value: {O.IN_FLIGHT.value, O.SUCCEEDED.value, O.FAILED.value},
        O.IN_FLIGHT.value: {O.SUCCEEDED.value, O.FAILED.value, O.PENDING.value, O.UNKNOWN.value},
        O.UNKNOWN.value: {O.SUCCEEDED.value, O.FAILED.value, O.PENDING.value},
        O.PENDING.value: {O.SUCCEEDED.value, O.FAILED.value},
    },
    final={O.SUCCEEDED.value, O.FAILED.value},
)

AWAITING_AUTHORISATION = frozenset({S.CREATED, S.AUTHORISING, S.REQUIRES_ACTION})
TAKEN = frozenset({S.PARTIALLY_CAPTURED, S.CAPTURED, S.PARTIALLY_REFUNDED})
"""Money of the customer's is with us."""
CLEAR = frozenset({S.DECLINED, S.VOIDED, S.REFUNDED, S.EXPIRED})
"""Nothing is held and nothing is kept."""
LIVE = frozenset({O.REQUESTED, O.IN_FLIGHT, O.UNKNOWN, O.PENDING})
"""Operations whose outcome is open."""
CALLED = frozenset({O.IN_FLIGHT, O.UNKNOWN})
"""Operations of which the provider may know already: look before acting."""
