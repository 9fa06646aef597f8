"""Stripe, through its official SDK, in the plain subset that its look-alikes understand, too."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import stripe
from moneyed import Money

from outbox.outcomes import Outcome, Permanent, Throttled, Transient
from outbox.publishing import no_transaction_open
from payments.gateways.base import Declined, IntentState, IntentStatus, RefundState, RefundStatus, StateConflict
from payments.gateways.declines import reason_for
from payments.gateways.transport import BoundedClient, NeverSent

T = TypeVar("T")
Json = Mapping[str, Any]

PAGE = 100
MAX_PAGES = 50
DEFAULT_PAUSE_SECONDS = 2.0

# Currencies whose amounts Stripe counts in units, or in thousandths; all others in hundredths, UGX and ISK included.
_WHOLE = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THOUSANDTHS = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))

_STATUSES = {
    "requires_payment_method": IntentStatus.FAILED,  # ours always come with one: it was refused
    "requires_confirmation": IntentStatus.REQUIRES_CONFIRMATION,
    "requires_action": IntentStatus.REQUIRES_ACTION,
    "processing": IntentStatus.PROCESSING,
    "requires_capture": IntentStatus.REQUIRES_CAPTURE,
    "succeeded": IntentStatus.SUCCEEDED,
    "canceled": IntentStatus.CANCELED,
}
_REFUND_STATUSES = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}


class StripeGateway:
    """A Gateway over Stripe's API. One instance serves all threads."""

    def __init__(self, *, api_base: str, api_key: str, transport: BoundedClient | None = None) -> None:
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,  # the engine retries, with its own clock and budget
            http_client=transport or BoundedClient(),
        )

    def create_intent(
        self, *, payment_id: UUID, order_id: UUID, amount: Money, payment_method: str, key: str
    ) -> IntentState | Declined:
        """See Gateway. Only the means of payment can be missing there: that is a decline."""
        params: Any = {
            "amount": to_minor(amount),
            "currency": amount.currency.code.lower(),
            "payment_method": payment_method,
            "payment_method_types": ["card"],
            "capture_method": "manual",
            "metadata": {"order": f"ord_{order_id.hex}", "payment": f"pay_{payment_id.hex}"},
        }
        try:
            return self._intent(lambda: self._client.v1.payment_intents.create(params, _options(key)))
        except _Refused as refused:
            if not refused.missing:
                raise
            return _declined("payment_method_unknown", "")

    def confirm(self, reference: str, *, key: str) -> IntentState | Declined:
        """See Gateway."""
        return self._intent(lambda: self._client.v1.payment_intents.confirm(reference, {}, _options(key)), on_id=True)

    def capture(self, reference: str, *, key: str) -> IntentState | Declined:
        """See Gateway."""
        return self._intent(lambda: self._client.v1.payment_intents.capture(reference, {}, _options(key)), on_id=True)

    def cancel(self, reference: str, *, key: str) -> IntentState:
        """See Gateway."""
        answer = self._intent(lambda: self._client.v1.payment_intents.cancel(reference, {}, _options(key)), on_id=True)
        if isinstance(answer, Declined):
            raise Permanent(f"The provider answered the release of {reference} with a decline: {answer.code}")
        return answer

    def retrieve(self, reference: str) -> IntentState:
        """See Gateway."""
        return self._ask(lambda: self._client.v1.payment_intents.retrieve(reference), intent_state)

    def find_intent(self, payment_id: UUID, *, since: datetime) -> IntentState | None:
        """See Gateway. Reads page by page, newest first, since look-alikes know no search."""
        for state in self._intents():
            if state.payment_id == payment_id:
                return state
            if state.created_at < since:
                return None
        return None

    def refund(self, reference: str, *, refund_id: UUID, amount: Money, key: str) -> RefundState:
        """See Gateway. A refusal of this very refund is a failed refund."""
        params: Any = {
            "payment_intent": reference,
            "amount": to_minor(amount),
            "metadata": {"refund": f"rfd_{refund_id.hex}"},
        }
        try:
            return self._ask(lambda: self._client.v1.refunds.create(params, _options(key)), refund_state)
        except _Refused as refused:
            if refused.missing:
                raise
            return RefundState("", RefundStatus.FAILED, amount, refund_id, failure=str(refused))

    def find_refund(self, reference: str, refund_id: UUID) -> RefundState | None:
        """See Gateway."""
        params: Any = {"payment_intent": reference, "limit": PAGE}
        found = self._ask(
            lambda: self._client.v1.refunds.list(params), lambda page: [refund_state(item) for item in page["data"]]
        )
        return next((state for state in found if state.refund_id == refund_id), None)

    def _intents(self) -> Iterator[IntentState]:
        after: str | None = None
        for _ in range(MAX_PAGES):
            page = self._intents_after(after)
            states = [intent_state(item) for item in page["data"]]
            yield from states
            if not page.get("has_more") or not states:
                return
            after = states[-1].reference

    def _intents_after(self, reference: str | None) -> Json:
        params: Any = {"limit": PAGE} | ({"starting_after": reference} if reference else {})
        return self._ask(lambda: self._client.v1.payment_intents.list(params), lambda page: page)

    def _intent(self, call: Callable[[], Any], *, on_id: bool = False) -> IntentState | Declined:
        """Make a call that answers with an intent. With `on_id`, a refusal may be due to the intent's state."""
        try:
            return self._ask(call, intent_state)
        except _CardRefused as refused:
            return refused.declined
        except _Refused as refused:
            if on_id and not refused.missing:
                raise StateConflict(str(refused)) from refused
            raise

    def _ask(self, call: Callable[[], Any], read: Callable[[Any], T]) -> T:
        no_transaction_open()
        try:
            answer = call()
        except stripe.StripeError as error:
            raise outcome_of(error) from error
        try:
            return read(answer.to_dict())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Transient(f"The provider's answer cannot be read: {error!r}", unknown=True) from error


class _CardRefused(Permanent):
    """A card error; becomes the value Declined."""

    def __init__(self, declined: Declined) -> None:
        super().__init__(declined.reason)
        self.declined = declined


class _Refused(Permanent):
    """A 4xx about this request."""

    def __init__(self, reason: str, *, missing: bool) -> None:
        super().__init__(reason)
        self.missing = missing
        """The request names something that does not exist at the provider."""


def outcome_of(error: stripe.StripeError) -> Outcome:
    """Classify an error of the SDK.

    Refused credentials count as transient: every call fails alike until someone mends the key, so the breaker should
    hold the work back instead of turning all of it into dead letters.
    """
    status, said = error.http_status, str(error)
    if isinstance(error, NeverSent):
        return Transient(said)
    if isinstance(error, stripe.RateLimitError) or status == 429:
        return Throttled(said, retry_after=_retry_after(error.headers))
    if isinstance(error, stripe.CardError):
        return _CardRefused(_declined(error.code or "card_declined", _decline_code(error)))
    if status == 409 or isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return Transient(said)
    if isinstance(error, stripe.InvalidRequestError):
        return _invalid(error)
    if isinstance(error, stripe.IdempotencyError) or (status is not None and 400 <= status < 500):
        return Permanent(said)
    return Transient(said, unknown=True)


def _invalid(error: stripe.InvalidRequestError) -> Outcome:
    return _Refused(str(error), missing=error.http_status == 404 or error.code == "resource_missing")


def intent_state(intent: Json) -> IntentState:
    """Read an intent."""
    currency = intent["currency"].upper()
    status = _STATUSES[intent["status"]]
    return IntentState(
        reference=intent["id"],
        status=status,
        amount=Money(from_minor(intent["amount"], currency), currency),
        captured=from_minor(_captured(intent, status), currency),
        declined=_last_error(intent) if status is IntentStatus.FAILED else None,
        payment_id=_own_id(intent, "payment", "pay_"),
        created_at=datetime.fromtimestamp(intent["created"], tz=UTC),
    )


def refund_state(refund: Json) -> RefundState:
    """Read a refund."""
    currency = refund["currency"].upper()
    return RefundState(
        reference=refund["id"],
        status=_REFUND_STATUSES[refund["status"]],
        amount=Money(from_minor(refund["amount"], currency), currency),
        refund_id=_own_id(refund, "refund", "rfd_"),
        failure=refund.get("failure_reason") or "",
    )


def to_minor(amount: Money) -> int:
    """Return the amount as Stripe counts it. Raises ValueError when that would lose something."""
    minor = amount.amount * _factor(amount.currency.code)
    if minor != int(minor):
        raise ValueError(f"{amount} cannot be charged exactly")
    return int(minor)


def from_minor(minor: int, currency: str) -> Decimal:
    """Return an amount in major units."""
    return Decimal(minor) / _factor(currency)


def _factor(currency: str) -> int:
    if currency in _WHOLE:
        return 1
    return 1000 if currency in _THOUSANDTHS else 100


def _captured(intent: Json, status: IntentStatus) -> int:
    """Return what was taken. Look-alikes may know no `amount_received`, and take money for a canceled intent."""
    received = intent.get("amount_received")
    if received:
        return int(received)
    charge = intent.get("latest_charge")
    if isinstance(charge, Mapping) and charge.get("captured") and charge.get("status") == "succeeded":
        return int(charge.get("amount_captured") or charge["amount"])
    return int(intent["amount"]) if status is IntentStatus.SUCCEEDED else 0


def _last_error(intent: Json) -> Declined:
    error = intent.get("last_payment_error") or {}
    return _declined(error.get("code") or "card_declined", error.get("decline_code") or "")


def _declined(code: str, decline_code: str) -> Declined:
    return Declined(code=code, decline_code=decline_code, reason=reason_for(decline_code, code))


def _decline_code(error: stripe.CardError) -> str:
    body = error.json_body if isinstance(error.json_body, Mapping) else {}
    return (body.get("error") or {}).get("decline_code") or ""


def _own_id(thing: Json, name: str, prefix: str) -> UUID | None:
    value = (thing.get("metadata") or {}).get(name, "")
    own = re.fullmatch(prefix + "([0-9a-f]{32})", value)
    return UUID(own.group(1)) if own else None


def _retry_after(headers: Mapping[str, str] | None) -> float:
    try:
        return max(0.0, float((headers or {}).get("retry-after", "")))
    except ValueError:
        return DEFAULT_PAUSE_SECONDS


def _options(key: str) -> stripe.RequestOptions:
    return {"idempotency_key": key}
