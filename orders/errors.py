"""Every error of the orders domain. Doors translate them (config/errors.py); the domain knows no HTTP.

OrdersError
├── AuthenticationRequired    no key was given
├── InvalidKey                the key is unknown, expired or revoked
├── InsufficientScope         the key is good, but not for this
├── RateLimited               too many requests, or too many wrong keys
├── NotFound                  no such object among the customer's own
├── MalformedRequest          the request cannot be read at all
│   ├── UnknownVersion        a version of the API that does not exist
│   ├── InvalidCursor         a page cursor that this list did not hand out
│   └── IdempotencyKeyRequired  a call that needs a key came without one
├── PayloadTooLarge           the body is larger than the door takes
├── ValidationFailed          the request can be read, but fields of it are wrong
│   └── UnknownSku            a line names a product that is not in the catalogue
├── TotalChanged              the customer expected another total
├── OrderNotReviewable        the order does not wait for a person's decision
├── OrderNotCancellable       the goods are handed over, or the order has ended otherwise
└── VersionConflict           somebody edited the order in between
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


class OrdersError(Exception):
    """Root of the domain's errors. The message is a sentence that the caller can act on."""


class AuthenticationRequired(OrdersError):
    """No key was given."""


class InvalidKey(OrdersError):
    """The key is unknown, expired or revoked; which of them is not told."""


class InsufficientScope(OrdersError):
    """The key is good, but does not carry the scopes that this call needs."""

    def __init__(self, *missing: str) -> None:
        words = f"the scope {missing[0]}" if len(missing) == 1 else f"the scopes {', '.join(missing)}"
        super().__init__(f"This call needs a key with {words}.")
        self.missing = missing


class RateLimited(OrdersError):
    """Too many requests, or too many wrong keys: `seconds` until the next may come."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class NotFound(OrdersError):
    """There is no such object among the customer's own; what belongs to others does not exist either."""


class MalformedRequest(OrdersError):
    """The request cannot be read: not JSON, not UTF-8, too deep, or a header is wrong."""


class UnknownVersion(MalformedRequest):
    """The request asks for a version of the API's form that is not served."""

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no version {asked[:40]!r} of the API; there are {', '.join(known)}.")
        self.known = tuple(known)


class InvalidCursor(MalformedRequest):
    """The page cursor was not handed out by this list."""


class IdempotencyKeyRequired(MalformedRequest):
    """The call takes effect once per Idempotency-Key, so it needs one."""


class PayloadTooLarge(OrdersError):
    """The body is larger than the door takes."""


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with one field."""

    pointer: str
    """JSON Pointer (RFC 6901) to the field; query parameters as `?name`."""
    code: str
    detail: str


class ValidationFailed(OrdersError):
    """The request can be read, but fields of it are wrong; all of them are listed."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        told = [f"{error.pointer or '/'}: {error.detail}" for error in errors[:3]]
        more = [f"And {len(errors) - 3} more."] if len(errors) > 3 else []
        super().__init__(" ".join([*told, *more]))
        self.errors = tuple(errors)


class UnknownSku(ValidationFailed):
    """A line names a product that is not in the catalogue."""


class TotalChanged(OrdersError):
    """The order's total is not what the customer expected: prices have changed since."""

    def __init__(self, *, expected: Decimal, actual: Decimal, currency: str) -> None:
        super().__init__(
            f"The total is {actual} {currency}, not {expected} {currency}. "
            "Show the new total to the buyer, then order again with it."
        )
        self.expected, self.actual, self.currency = expected, actual, currency


class OrderNotReviewable(OrdersError):
    """The order does not wait for a person's decision, or not any more."""


class OrderNotCancellable(OrdersError):
    """The goods are handed over, or the order has ended in another way."""


class VersionConflict(OrdersError):
    """Somebody edited the order since it was read."""
