"""The carrier's door: signed callbacks in."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from fulfillment.references import order_of, shipment_of
from fulfillment.services.tracking import receive_callback
from fulfillment.values import ParcelReport
from outbox.context import scope
from outbox.publishing import unit_of_work

MAX_BODY_BYTES = 65_536
MAX_ID_CHARACTERS = 255

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[\x21-\x7e]+$")]


class CallbackDocument(msgspec.Struct):
    """A callback as the carrier writes it; what we do not use is left out."""

    type: Text
    label: Text
    shipment: Text
    order: Text
    tracking_number: Text
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def report(self) -> ParcelReport | None:
        """Return it in our words; None when it is not about a parcel of ours."""
        order_id, shipment_id = order_of(self.order), shipment_of(self.shipment)
        if order_id is None or shipment_id is None:
            return None
        return ParcelReport(
            shipment_id=shipment_id,
            order_id=order_id,
            report=self.type,
            sequence=self.sequence,
            label_id=self.label,
            tracking_number=self.tracking_number,
            occurred_at=self.occurred_at,
        )


@csrf_exempt
@require_POST
def carrier_callback(request: HttpRequest) -> HttpResponse:
    """Keep a genuine callback and answer at once; it is applied as a message. A repeat changes nothing."""
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", "A callback has at most 64 kB.")
    try:
        Webhook(settings.CARRIER_WEBHOOK_SECRET).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a signature or a body that cannot even be decoded
        return _problem(HTTPStatus.UNAUTHORIZED, "invalid_signature", "The callback's signature does not fit.")
    webhook_id = request.headers["webhook-id"]
    try:
        report = msgspec.json.decode(body, type=CallbackDocument).report()
    except (msgspec.DecodeError, RecursionError) as error:
        return _problem(HTTPStatus.BAD_REQUEST, "malformed_request", f"The callback cannot be read: {error}.")
    if report is None or len(webhook_id) > MAX_ID_CHARACTERS:
        return _problem(HTTPStatus.BAD_REQUEST, "malformed_request", "The callback names no parcel of ours.")
    with scope(actor="carrier"), unit_of_work():
        receive_callback(webhook_id=webhook_id, report=report, body=body.decode())
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _problem(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    problem = {"type": f"/docs/problems/{code}", "title": status.phrase, "status": status, "code": code}
    return JsonResponse({**problem, "detail": detail}, status=status, content_type="application/problem+json")
