"""What all views of the customers' door share: who may, once only, and how answers are written."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request
from rest_framework.views import APIView

from orders import rate_limits
from orders.api.versioning import VERSION, asked_version, show_in_version, tag_of_version, version_of
from orders.authentication import presented_key
from orders.callers import ASKED_AGAIN, ASKED_AGAIN_MARK, Caller
from orders.errors import IdempotencyKeyRequired, InsufficientScope, MalformedRequest, NotFound, VersionConflict
from orders.models import Order
from orders.public_ids import ORDER, parse_public_id
from orders.representations import Representation
from orders.sealing import seal, unseal
from orders.versions import CURRENT
from outbox import idempotency
from outbox.context import current, enter
from outbox.idempotency import Answer
from outbox.publishing import unit_of_work

BASE = "/api/v1"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')


class Door(APIView):
    """A view of the API: authenticated, with a scope per method, answering JSON."""

    scopes: ClassVar[Mapping[str, str]] = {}
    """The scope that each method needs; a method that is not named needs none."""
    allowances: Sequence[rate_limits.Allowance] = ()
    api_version = CURRENT
    http_method_names = ("get", "post", "patch", "delete", "head")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, check the scope, and note who acts."""
        super().initial(request, *args, **kwargs)
        caller = caller_of(request)
        if request.headers.get(ASKED_AGAIN) != ASKED_AGAIN_MARK:
            self.allowances = rate_limits.spend(caller)
            rate_limits.check(self.allowances)
        needed = self.scopes.get("GET" if request.method == "HEAD" else request.method or "")
        if needed and needed not in caller.scopes:
            raise InsufficientScope(needed)
        self.api_version = request.META[VERSION] = asked_version(request, caller)
        enter(replace(current(), actor=f"customer:{caller.public_id}"))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Say what is left of the caller's limits, and that answers are for the caller alone."""
        response.headers.setdefault("Cache-Control", "no-store")
        patch_vary_headers(response, ["Authorization"])
        for name, value in limit_headers(self.allowances).items():
            response.headers[name] = value
        show_in_version(response, self.api_version)
        return super().finalize_response(request, response, *args, **kwargs)


def limit_headers(allowances: Sequence[rate_limits.Allowance]) -> dict[str, str]:
    """Return the headers that tell of limits: those of the present draft, and the three that came before it."""
    if not allowances:
        return {}
    narrowest = allowances[0]
    return {
        "RateLimit-Policy": ", ".join(f'"{left.bucket.name}";q={left.bucket.capacity};w=1' for left in allowances),
        "RateLimit": ", ".join(f'"{left.bucket.name}";r={left.remaining};t={left.reset}' for left in allowances),
        "RateLimit-Limit": str(narrowest.bucket.capacity),
        "RateLimit-Remaining": str(narrowest.remaining),
        "RateLimit-Reset": str(narrowest.reset),
    }


def caller_of(request: Request) -> Caller:
    """Return who is calling."""
    caller = request.user
    assert isinstance(caller, Caller)
    return caller


def own_orders(request: Request) -> QuerySet[Order]:
    """Return the caller's orders: every query of this door starts here."""
    return Order.objects.filter(customer_id=caller_of(request).customer_id)


def order_id_of(text: str) -> UUID:
    """Return the UUID in an order's public id. Raises NotFound when it is none."""
    order_id = parse_public_id(ORDER, text)
    if order_id is None:
        raise NotFound("There is no such order.")
    return order_id


def base_url(request: HttpRequest) -> str:
    """Return the API's own URL, for links."""
    return f"{request.scheme}://{request.get_host()}{BASE}"


def encode(value: Representation) -> bytes:
    """Return a representation as JSON."""
    return msgspec.json.encode(value)


def entity_tag(body: bytes, version: int | None = None) -> str:
    """Return the ETag of a representation: the version, where there is one, and a hash of all of it."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f'"{digest}"' if version is None else f'"{version}-{digest}"'


def respond(answer: Answer) -> HttpResponse:
    """Return the answer as Django sends it."""
    return HttpResponse(
        answer.body, status=answer.status, content_type="application/json", headers=dict(answer.headers)
    )


def show(request: HttpRequest, value: Representation, version: int | None = None) -> HttpResponse:
    """Answer a read: 304 without a body when the caller has this representation already."""
    body = encode(value)
    tag = entity_tag(body, version)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _names(request.headers.get("If-None-Match", ""), tag_of_version(tag, version_of(request))):
        return HttpResponse(status=304, headers=headers)
    return respond(Answer(200, body, headers))


def _names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag.strip('"') in _ENTITY_TAG.findall(header)


def expected_version(request: HttpRequest) -> int | None:
    """Return the version that If-Match asks for, None when it asks for none.

    Takes an ETag of ours, of which only the version counts, or the bare version. Raises VersionConflict for what can
    be no version of ours.
    """
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return None
    text = (_ENTITY_TAG.findall(header) or [header])[0].partition("-")[0]
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise VersionConflict("If-Match is not an ETag or a version of this order. Read the order, then decide.")
    return int(text)


def idempotency_key(request: HttpRequest) -> str | None:
    """Return the Idempotency-Key, with or without the quotes of a structured field. Raises MalformedRequest."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    text = header.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if not _KEY.fullmatch(text):
        raise MalformedRequest("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return text


def once(
    request: Request, document: object, work: Callable[[], Answer], *, required: bool = False, secret: bool = False
) -> Answer:
    """Do `work` in one unit of work, once per Idempotency-Key; repeat the remembered answer otherwise.

    A key is its customer's for this method and path. Where the answer has a `secret` in it, it is remembered sealed
    with the caller's API key, and only for that one. Raises IdempotencyKeyRequired, and the errors of
    outbox.idempotency.
    """
    text = idempotency_key(request)
    if text is None:
        if required:
            raise IdempotencyKeyRequired("Send an Idempotency-Key, so that a repeated request takes effect only once.")
        with unit_of_work():
            return work()
    caller = caller_of(request)
    whose = f"{caller.public_id} {caller.key_prefix}" if secret else caller.public_id
    key = idempotency.Key(f"{whose} {request.method} {request.path}", text, idempotency.hash_of(document))
    api_key = presented_key(request) if secret else None
    try:
        return _once(key, work, api_key)
    except idempotency.KeyTaken:
        # Its answer was committed between our look and our insert: the second look finds it.
        return _once(key, work, api_key)


def _once(key: idempotency.Key, work: Callable[[], Answer], api_key: str | None) -> Answer:
    with unit_of_work():
        known = idempotency.begin(key)
        if known is not None:
            body = known.body if api_key is None else unseal(known.body, api_key)
            return replace(known, body=body, headers={**known.headers, "Idempotent-Replayed": "true"})
        answer = work()
        idempotency.remember(key, answer if api_key is None else replace(answer, body=seal(answer.body, api_key)))
        return answer
