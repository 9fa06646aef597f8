"""The carrier's HTTP door: check what came in, call the labels once, translate back."""

import hmac
import json
from collections.abc import Awaitable, Callable
from sqlite3 import Row

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from config.sandboxes.carrier.labels import AlreadyCollected, KeyReused, Labels

UNDELIVERABLE_POSTAL_CODE = "00000"
_TEXTS = ("shipment", "order", "warehouse")

Endpoint = Callable[[Request], Awaitable[Response]]


class Refusal(Exception):
    """A request that the carrier answers with an error: a status, a stable code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> Response:
        return JSONResponse({"error": {"code": self.code, "message": str(self)}}, self.status)


def error_body(status: int, message: str) -> dict[str, object]:
    """The carrier's form of an error that is not about the request itself."""
    return {"error": {"code": "rate_limited" if status == 429 else "carrier_unavailable", "message": message}}


class CarrierApi:
    """Routes under /v1 for callers who hold the API key."""

    def __init__(self, labels: Labels, api_key: str) -> None:
        self._labels = labels
        self._api_key = api_key

    def routes(self) -> list[Route]:
        return [
            Route("/v1/labels", self._door(self.book), methods=["POST"]),
            Route("/v1/labels", self._door(self.of_shipment), methods=["GET"]),
            Route("/v1/labels/{label}", self._door(self.show), methods=["GET"]),
            Route("/v1/labels/{label}/document", self._door(self.document), name="label-document"),
            Route("/v1/labels/{label}/void", self._door(self.void), methods=["POST"]),
        ]

    async def book(self, request: Request) -> Response:
        booking = parse_booking(await request.body())
        try:
            label, replayed = self._labels.book(booking, request.headers.get("Idempotency-Key"))
        except KeyReused:
            raise Refusal(422, "idempotency_key_reused", "This Idempotency-Key belongs to another request.") from None
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        return JSONResponse(_shown(label, request), 201, headers=headers)

    async def of_shipment(self, request: Request) -> Response:
        shipment = request.query_params.get("shipment")
        if not shipment:
            raise Refusal(400, "invalid_request", "Name the shipment: /v1/labels?shipment=…")
        return JSONResponse({"data": [_shown(label, request) for label in self._labels.of_shipment(shipment)]})

    async def show(self, request: Request) -> Response:
        return JSONResponse(_shown(self._found(request), request))

    async def document(self, request: Request) -> Response:
        label = self._found(request)
        recipient = "\n".join(str(part) for part in json.loads(label["recipient"]).values() if part)
        return PlainTextResponse(f"{label['tracking_number']}\nfrom {label['warehouse']}\nto\n{recipient}\n")

    async def void(self, request: Request) -> Response:
        try:
            label = self._labels.void(request.path_params["label"], request.headers.get("Idempotency-Key"))
        except AlreadyCollected:
            raise Refusal(409, "already_collected", "The parcel has been collected; its label stands.") from None
        return JSONResponse(_shown(label or self._found(request), request))

    def _found(self, request: Request) -> Row:
        label = self._labels.find(request.path_params["label"])
        if label is None:
            raise Refusal(404, "not_found", f"There is no label {request.path_params['label']}.")
        return label

    def _door(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            try:
                self._authenticate(request)
                return await endpoint(request)
            except Refusal as refusal:
                return refusal.response()

        return guarded

    def _authenticate(self, request: Request) -> None:
        presented = request.headers.get("Authorization", "")
        if not hmac.compare_digest(presented.encode(), f"Bearer {self._api_key}".encode()):
            raise Refusal(401, "invalid_api_key", "Send the carrier's API key as a Bearer token.")


def parse_booking(body: bytes) -> dict[str, object]:
    """The booking in a request's body; raises Refusal for one that no label can be made from."""
    try:
        document = json.loads(body)
    except ValueError:
        raise Refusal(400, "invalid_request", "The body must be JSON.") from None
    if not isinstance(document, dict):
        raise Refusal(400, "invalid_request", "The body must be a JSON object.")
    for name in _TEXTS:
        if not isinstance(document.get(name), str) or not document[name]:
            raise Refusal(400, "invalid_request", f"{name} must be a text that is not empty.")
    if not isinstance(document.get("recipient"), dict):
        raise Refusal(400, "invalid_request", "recipient must be an address object.")
    parcels = document.get("parcels")
    if not isinstance(parcels, list) or not parcels or not all(_weighs(parcel) for parcel in parcels):
        raise Refusal(400, "invalid_request", "parcels must list at least one object with weight_grams above 0.")
    if document["recipient"].get("postal_code") == UNDELIVERABLE_POSTAL_CODE:
        raise Refusal(422, "undeliverable_address", "No carrier route serves this postal code.")
    return {name: document[name] for name in (*_TEXTS, "recipient", "parcels")}


def _weighs(parcel: object) -> bool:
    weight = parcel.get("weight_grams") if isinstance(parcel, dict) else None
    return isinstance(weight, int) and not isinstance(weight, bool) and weight > 0


def _shown(label: Row, request: Request) -> dict[str, object]:
    return {
        "id": label["id"],
        "shipment": label["shipment"],
        "order": label["order_ref"],
        "tracking_number": label["tracking_number"],
        "status": label["status"],
        "label_url": str(request.url_for("label-document", label=label["id"])),
    }
