"""Refusals in the form of Stripe's errors, as its SDKs expect them."""

from collections.abc import Mapping

Document = dict[str, object]

DECLINES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
}


class StripeError(Exception):
    """An answer with an error: an HTTP status and the `error` object of the body."""

    def __init__(self, status: int, kind: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.error: Document = {"type": kind, "message": message, **details}

    def body(self) -> Document:
        return {"error": self.error}


def error_body(status: int, message: str) -> Document:
    """Stripe's form of an error that is not about the request itself."""
    if status == 429:
        return {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": message}}
    return {"error": {"type": "api_error", "message": message}}


def invalid(message: str, **details: object) -> StripeError:
    return StripeError(400, "invalid_request_error", message, **details)


def missing(kind: str, object_id: str, param: str) -> StripeError:
    message = f"No such {kind}: '{object_id}'"
    return StripeError(404, "invalid_request_error", message, code="resource_missing", param=param)


def unexpected_state(verb: str, intent: Document) -> StripeError:
    message = f"A PaymentIntent with the status {intent['status']} cannot be {verb}."
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=intent)


def declined(decline_code: str, intent: Document, charge: object) -> StripeError:
    return StripeError(
        *(402, "card_error", DECLINES[decline_code]),
        code="card_declined",
        decline_code=decline_code,
        charge=charge,
        payment_intent=intent,
    )


def of_provider(status: int, document: Mapping[str, object]) -> StripeError:
    """What the provider itself refused, with the parts that Stripe always gives."""
    error = document.get("error")
    details = dict(error) if isinstance(error, dict) else {}
    message = str(details.pop("message", "The provider refused the request."))
    kind = "api_error" if status >= 500 else str(details.pop("type", "invalid_request_error"))
    details.pop("type", None)
    return StripeError(status, kind, message, **details)
