"""What fulfilment needs of a carrier. Pure: frozen values, and a protocol that adapters satisfy.

Expected outcomes are values (a label, a refusal). What is not, is raised as outbox.outcomes: Transient (with
`unknown` when the call may have had its effect), Throttled or Permanent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """Everything that the carrier has to know to take a parcel."""

    shipment: str
    """Our reference of the parcel; a parcel has one label at most."""
    order: str
    warehouse: str
    recipient: Mapping[str, str]
    weight_grams: int
    idempotency_key: str
    """The same for every attempt at this parcel, so that a repeat finds the label made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The carrier's promise to take a parcel."""

    id: str
    tracking_number: str
    url: str
    voided: bool = False
    """The promise was taken back."""


@dataclass(frozen=True, slots=True)
class LabelRefused:
    """The carrier will never take this parcel."""

    code: str
    reason: str
    """A sentence that the customer may read."""


@dataclass(frozen=True, slots=True)
class LabelVoided:
    """The carrier will not take the parcel."""


@dataclass(frozen=True, slots=True)
class ParcelCollected:
    """Too late to void: the carrier has the parcel."""


class Carrier(Protocol):
    """A company that takes parcels. No method may be called while a transaction is open."""

    def book(self, request: LabelRequest) -> Label | LabelRefused:
        """Get the parcel's label; a repeat with the same key gets the same label."""

    def find(self, shipment: str) -> Label | None:
        """Return the label made for a parcel, one that stands before one that was voided; None when there is none."""

    def void(self, label_id: str) -> LabelVoided | ParcelCollected:
        """Take the label back; repeating it is harmless."""
