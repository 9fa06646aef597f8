"""What Tandem asks of a payment provider, and the values it answers with. Pure: imports no Django.

Expected outcomes are values (a declined card is one). Surprises are the engine's outcomes: Transient (with
`unknown=True` when the provider may have done it), Throttled, Permanent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from moneyed import Money

from outbox.outcomes import Permanent, Transient


class IntentStatus(StrEnum):
    """Where an intent stands at the provider."""

    FAILED = "failed"
    """The means of payment was refused."""
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    """The amount is held."""
    SUCCEEDED = "succeeded"
    """The amount was taken."""
    CANCELED = "canceled"


CANCELABLE = frozenset(
    {
        IntentStatus.FAILED,
        IntentStatus.REQUIRES_CONFIRMATION,
        IntentStatus.REQUIRES_ACTION,
        IntentStatus.REQUIRES_CAPTURE,
    }
)


@dataclass(frozen=True, slots=True)
class Declined:
    """The bank or the provider said no, for good."""

    code: str
    decline_code: str
    reason: str
    """A sentence the customer can read."""


@dataclass(frozen=True, slots=True)
class IntentState:
    """An intent as the provider sees it."""

    reference: str
    status: IntentStatus
    amount: Money
    captured: Decimal
    """What was taken, in major units; refunds are not subtracted."""
    declined: Declined | None
    payment_id: UUID | None
    """Which payment of ours it was made for."""
    created_at: datetime


class RefundStatus(StrEnum):
    """Where a refund stands at the provider."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundState:
    """A refund as the provider sees it."""

    reference: str
    status: RefundStatus
    amount: Money
    refund_id: UUID | None
    """Which refund of ours it is."""
    failure: str


class StateConflict(Permanent):
    """The provider refused because the intent is not in a state that allows it: look before deciding."""


class Gateway(Protocol):
    """A payment provider. Every call may raise Transient, Throttled or Permanent; none runs in a transaction."""

    def create_intent(
        self, *, payment_id: UUID, order_id: UUID, amount: Money, payment_method: str, key: str
    ) -> IntentState | Declined:
        """Register an unconfirmed intent with manual capture; moves no money."""

    def confirm(self, reference: str, *, key: str) -> IntentState | Declined:
        """Hold the amount. Raises StateConflict when the intent does not wait for confirmation."""

    def capture(self, reference: str, *, key: str) -> IntentState | Declined:
        """Take the whole amount held. Raises StateConflict when nothing is held."""

    def cancel(self, reference: str, *, key: str) -> IntentState:
        """Release what is held, and let nothing be held later. Raises StateConflict when it is too late."""

    def retrieve(self, reference: str) -> IntentState:
        """Return the intent as it is now."""

    def find_intent(self, payment_id: UUID, *, since: datetime) -> IntentState | None:
        """Look through the intents created after `since` for the one made for this payment."""

    def refund(self, reference: str, *, refund_id: UUID, amount: Money, key: str) -> RefundState:
        """Give part or all of what was taken back."""

    def find_refund(self, reference: str, refund_id: UUID) -> RefundState | None:
        """Look through the refunds of an intent for ours."""


Answer = IntentState | Declined


def act_once(
    gateway: Gateway,
    reference: str,
    *,
    ready: frozenset[IntentStatus],
    look_first: bool,
    act: Callable[[], Answer],
) -> Answer:
    """Make the call `act` unless the intent has moved on from the `ready` states; return where the intent stands.

    With `look_first` an earlier call may have got through, so the provider is asked before anything is repeated.
    Raises Transient while the provider is still working on it.
    """
    state = gateway.retrieve(reference) if look_first else None
    if state is not None and state.status not in ready:
        return _settled(state)
    try:
        return _settled(act())
    except StateConflict:
        state = gateway.retrieve(reference)
        if state.status in ready:
            raise
        return _settled(state)


def _settled(answer: Answer) -> Answer:
    if isinstance(answer, IntentState) and answer.status is IntentStatus.PROCESSING:
        raise Transient(f"The provider is still processing {answer.reference}", unknown=True)
    return answer
