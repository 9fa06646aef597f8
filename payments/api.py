"""The payment provider's door: signed callbacks, stored and answered at once."""

from typing import Any

import stripe
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from outbox.context import scope
from outbox.publishing import unit_of_work
from payments import services
from payments.errors import CallbackMalformed, CallbackRefused

TOLERANCE_SECONDS = 300
"""How old a signature may be, so that a recorded callback cannot be played back later."""


@csrf_exempt  # the signature, not a cookie, says who calls
@require_POST
def payment_callback(request: HttpRequest) -> HttpResponse:
    """Take a callback in: 200 when it is stored, also the second time; 400 unless the provider has signed it."""
    try:
        event = _verified(request.body, request.headers.get("Stripe-Signature", ""))
        meant = _subject(event)
    except RequestDataTooBig:
        return _problem(413, "payload_too_large", "The callback is larger than any event of the provider.")
    except (CallbackRefused, CallbackMalformed) as refusal:
        return _problem(400, "malformed_request", str(refusal))
    with scope(actor="provider:payments"), unit_of_work():
        services.accept_callback(**meant)
    return JsonResponse({"received": True})


def _verified(body: bytes, signature: str) -> dict[str, Any]:
    """Return the event. Raises CallbackRefused, CallbackMalformed."""
    if not settings.PAYMENT_WEBHOOK_SECRET:
        raise CallbackRefused("Callbacks are not accepted: PAYMENT_WEBHOOK_SECRET is not set.")
    try:
        event = stripe.Webhook.construct_event(
            body, signature, settings.PAYMENT_WEBHOOK_SECRET, tolerance=TOLERANCE_SECONDS
        )
        return dict(event.to_dict())
    except stripe.SignatureVerificationError as error:
        raise CallbackRefused("The signature is missing, wrong, or more than five minutes old.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CallbackMalformed("The body is not an event of the provider.") from error


def _subject(event: dict[str, Any]) -> dict[str, str]:
    """Return what a callback speaks of, as arguments of `accept_callback`. Raises CallbackMalformed."""
    try:
        thing = event["data"]["object"]
        is_intent = thing.get("object") == "payment_intent"
        reference = thing["id"] if is_intent else thing.get("payment_intent")
        tag = (thing.get("metadata") or {}).get("payment")
        found = {"event_id": event["id"], "type": event["type"], "reference": reference, "payment_tag": tag}
    except (KeyError, TypeError, AttributeError) as error:
        raise CallbackMalformed("The event lacks its id, its type or its object.") from error
    strings = {name: value or "" for name, value in found.items()}
    if not all(isinstance(value, str) and len(value) <= 255 and "\0" not in value for value in strings.values()):
        raise CallbackMalformed("The event's id, type or references are not short texts.")
    return strings


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    body = {"type": f"/docs/problems/{code}", "title": code.replace("_", " ").capitalize()}
    return JsonResponse(
        {**body, "status": status, "code": code, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )
