"""Plans of calls: everything a call needs, so that it touches no database."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from moneyed import Money


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """Register an intent."""

    payment_id: UUID
    order_id: UUID
    amount: Money
    payment_method: str
    key: str
    look_since: datetime | None
    """Set when the key may have been forgotten by the provider: look for an intent made since then first."""


@dataclass(frozen=True, slots=True)
class IntentPlan:
    """Confirm, capture or cancel an intent by its id."""

    operation_id: UUID
    reference: str
    key: str
    look_first: bool
    """The provider may know of this operation already."""


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """Give an amount back."""

    refund_id: UUID
    reference: str
    amount: Money
    key: str
    look_first: bool
    may_send: bool
    """False when the provider may have forgotten the key, so that a repetition could pay out twice."""


@dataclass(frozen=True, slots=True)
class SynchronisePlan:
    """Fetch an intent, and the refunds of ours that are still open."""

    reference: str
    refund_ids: tuple[UUID, ...]
