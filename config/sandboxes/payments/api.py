"""The payment sandbox's HTTP door: Stripe's routes, authentication, idempotency and errors."""

import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.sandboxes.payments import errors, shapes
from config.sandboxes.payments.calls import Call
from config.sandboxes.payments.errors import StripeError
from config.sandboxes.payments.events import Events, signature
from config.sandboxes.payments.front import Front
from config.sandboxes.payments.keys import Answer, IdempotencyKeys
from config.sandboxes.payments.methods import PaymentMethods
from config.sandboxes.payments.provider import Document, Provider, ProviderUnavailable
from config.sandboxes.payments.records import Records

PROVIDER_EVENTS_PATH = "/provider/events"
FORWARDED_READS = ("charges", "balance_transactions", "payment_methods", "customers")
FORWARDED_WRITES = ("payment_methods", "customers")
LONGEST_KEY = 255

Operation = Callable[[Request, Call], Awaitable[Document]]


class PaymentsApi:
    """Routes under /v1 for callers with a secret key, and the provider's own door for its events."""

    def __init__(
        self, front: Front, provider: Provider, records: Records, keys: IdempotencyKeys, methods: PaymentMethods
    ) -> None:
        self._front = front
        self._provider = provider
        self._records = records
        self._keys = keys
        self._methods = methods

    def routes(self, events: Events) -> list[Route]:
        front = self._front
        return [
            self._write("/v1/payment_intents", "create", lambda request, call: front.create(call)),
            self._write("/v1/payment_intents/{id}", "update", _of_intent(front.update)),
            self._write("/v1/payment_intents/{id}/confirm", "confirm", _of_intent(front.confirm)),
            self._write("/v1/payment_intents/{id}/capture", "capture", _of_intent(front.capture)),
            self._write("/v1/payment_intents/{id}/cancel", "cancel", _of_intent(front.cancel)),
            self._write("/v1/payment_intents/{id}/_authenticate", "authenticate", _of_intent(front.authenticate)),
            self._write("/v1/refunds", "refund", lambda request, call: front.refund(call)),
            self._read("/v1/payment_intents", self._list("payment_intent")),
            self._read("/v1/payment_intents/{id}", _of_intent(front.retrieve)),
            self._read("/v1/refunds", self._list("refund")),
            self._read("/v1/refunds/{id}", self._one("refund")),
            self._read("/v1/events", self._list("event")),
            self._read("/v1/events/{id}", self._one("event")),
            *(self._read(f"/v1/{kind}/{{rest:path}}", self._forward) for kind in FORWARDED_READS),
            *(self._write(f"/v1/{kind}{{rest:path}}", "forward", self._forward) for kind in FORWARDED_WRITES),
            Route("/v1/{rest:path}", self._door("", self._unknown), methods=["GET", "POST", "DELETE"]),
            Route("/capture_failures", self._capture_failures, methods=["POST", "DELETE"]),
            Route(PROVIDER_EVENTS_PATH, self._provider_events(events), methods=["POST"]),
        ]

    def _write(self, path: str, operation: str, work: Operation) -> Route:
        return Route(path, self._door(operation, work), methods=["POST"])

    def _read(self, path: str, work: Operation) -> Route:
        return Route(path, self._door("", work), methods=["GET"])

    def _door(self, operation: str, work: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
            try:
                _authenticate(request)
                text = (
                    (await request.body()).decode(errors="replace") if request.method == "POST" else request.url.query
                )
                answer = await self._answer(request, text, key, work)
            except StripeError as refusal:
                answer = Answer(refusal.status, refusal.body())
            except ProviderUnavailable as failure:
                answer = Answer(500, errors.error_body(500, str(failure)))
            self._record(answer, operation, key)
            headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
            headers |= {"Idempotency-Key": key} if key else {}
            return JSONResponse(answer.body, answer.status, headers=headers)

        return endpoint

    async def _answer(self, request: Request, text: str, key: str | None, work: Operation) -> Answer:
        pairs = parse_qsl(text, keep_blank_values=True)

        async def attempt(resumed: bool) -> Answer:
            try:
                return Answer(200, await work(request, Call(pairs, key=key, resumed=resumed)))
            except StripeError as refusal:
                return Answer(refusal.status, refusal.body())

        if key is None:
            return await attempt(False)
        if len(key) > LONGEST_KEY:
            raise errors.invalid(f"An idempotency key has at most {LONGEST_KEY} characters.")
        return await self._keys.once(key, f"{request.url.path}\n{sorted(pairs)}", attempt)

    def _record(self, answer: Answer, operation: str, key: str | None) -> None:
        if operation and (intent := _intent_concerned(answer.body)):
            self._records.record_call(intent, operation, key, answer.status, replayed=answer.replayed)

    def _list(self, kind: str) -> Operation:
        async def listed(request: Request, call: Call) -> Document:
            limit = call.whole("limit") or 10
            if limit > 100:
                raise errors.invalid("limit is at most 100.", param="limit", code="parameter_invalid_integer")
            since, until = _created_bounds(call)
            data, has_more = self._records.page(
                {
                    "kind": kind,
                    "parent": call.get("payment_intent") if kind == "refund" else None,
                    "type": call.get("type") if kind == "event" else None,
                    "since": since,
                    "until": until,
                    "starting_after": call.get("starting_after"),
                    "ending_before": call.get("ending_before"),
                    "limit": limit,
                }
            )
            return shapes.listing(request.url.path, data, has_more=has_more)

        return listed

    def _one(self, kind: str) -> Operation:
        async def found(request: Request, call: Call) -> Document:
            document = self._records.stored(kind, request.path_params["id"])
            if document is None:
                raise errors.missing(kind, request.path_params["id"], "id")
            return document

        return found

    async def _forward(self, request: Request, call: Call) -> Document:
        """Hand what has no money in it to the provider as it is."""
        pairs = [(name, value) for name, value in call.pairs if not name.startswith("expand")]
        status, document = await self._provider.call(request.method, request.url.path, pairs)
        if status != 200:
            raise errors.of_provider(status, document)
        if document.get("object") == "charge":
            payment = self._records.payment_of_charge(str(document["id"]))
            return shapes.charge(document, payment, self._records.refunded(payment["intent"]) if payment else None)
        return document

    async def _unknown(self, request: Request, call: Call) -> Document:
        message = f"Unrecognized request URL ({request.method}: {request.url.path})."
        raise StripeError(404, "invalid_request_error", message)

    async def _capture_failures(self, request: Request) -> Response:
        failing = request.method == "POST"
        self._methods.let_captures_fail(failing)
        return JSONResponse({"captures_fail": failing})

    def _provider_events(self, events: Events) -> Callable[[Request], Awaitable[Response]]:
        async def accept(request: Request) -> Response:
            body = (await request.body()).decode()
            raw = json.loads(body)
            expected = signature(self._provider.webhook_secret, int(raw["created"]), body)
            if not hmac.compare_digest(expected, request.headers.get("Stripe-Signature", "")):
                return Response(status_code=400)
            events.accept(raw, self._front.snapshot)
            return Response(status_code=204)

        return accept


def _of_intent(work: Callable[[str, Call], Awaitable[Document]]) -> Operation:
    async def operation(request: Request, call: Call) -> Document:
        return await work(request.path_params["id"], call)

    return operation


def _authenticate(request: Request) -> None:
    scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            presented = base64.b64decode(presented).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            presented = ""
    if not presented.startswith("sk_") or len(presented) <= 5:
        raise StripeError(401, "invalid_request_error", "Send a secret API key (sk_test_…) as a Bearer token.")


def _intent_concerned(body: Document) -> str | None:
    """Which payment an answer is about, whether it is the payment, its refund or an error with it."""
    if body.get("object") == "payment_intent":
        return str(body["id"])
    if body.get("object") == "refund":
        return str(body["payment_intent"])
    error = body.get("error")
    intent = error.get("payment_intent") if isinstance(error, dict) else None
    return str(intent["id"]) if isinstance(intent, dict) else None


def _created_bounds(call: Call) -> tuple[int, int]:
    """The first and last second of creation that a list asks for."""
    if (exactly := call.whole("created", lowest=0)) is not None:
        return exactly, exactly
    above, since = call.whole("created[gt]", lowest=0), call.whole("created[gte]", lowest=0)
    below, until = call.whole("created[lt]", lowest=0), call.whole("created[lte]", lowest=0)
    lowest = max(since or 0, above + 1 if above is not None else 0)
    endless = 2**62
    highest = min(endless if until is None else until, endless if below is None else below - 1)
    return lowest, highest
