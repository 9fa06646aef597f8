"""The customer's API keys: making, reading, rotating, revoking."""

from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from orders import api_keys, selectors
from orders.api.door import Door, base_url, caller_of, encode, entity_tag, expected_version, once, respond, show
from orders.api.filters import filters_of
from orders.api.pagination import Listing
from orders.api.reading import read_document
from orders.api.schema import API_KEY_ID, IF_MATCH, IF_NONE_MATCH, KEY_HONOURED, PAGING, documented
from orders.api.validation import convert
from orders.errors import NotFound
from orders.models import ApiKey
from orders.public_ids import API_KEY, parse_public_id
from orders.representations import ApiKeyList, ApiKeyObject, NewApiKeyObject
from orders.requests import CreateApiKey, RotateApiKey
from orders.serializers import api_key_object, new_api_key_object
from outbox.idempotency import Answer
from outbox.publishing import unit_of_work

NEWEST_FIRST = Listing[ApiKey](
    name="api_keys", columns=("created_at", "id"), parsers=(selectors.parse_time, UUID), descending=True
)


def own_keys(request: Request) -> QuerySet[ApiKey]:
    """Return the keys of the caller's customer: every query of keys starts here."""
    return ApiKey.objects.filter(customer_id=caller_of(request).customer_id)


def key_id_of(text: str) -> UUID:
    """Return the UUID in a key's public id. Raises NotFound when it is none."""
    key_id = parse_public_id(API_KEY, text)
    if key_id is None:
        raise NotFound("There is no such API key.")
    return key_id


def answer_with_new(made: api_keys.NewKey, request: Request) -> Answer:
    """Return the answer that shows a new key, once."""
    body = encode(new_api_key_object(made.row, made.key))
    location = f"{base_url(request)}/api_keys/{made.row.public_id}"
    tag = entity_tag(encode(api_key_object(made.row)), made.row.version)
    return Answer(201, body, {"Location": location, "ETag": tag, "Cache-Control": "no-store"})


class ApiKeysView(Door):
    """The keys of the caller's customer."""

    scopes = {"GET": "keys:read", "POST": "keys:write"}

    @documented(
        "List API keys",
        operation="list_api_keys",
        tag="Account",
        shows=ApiKeyList,
        scope="keys:read",
        parameters=[*PAGING, IF_NONE_MATCH],
        problems=["invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List the account's keys, newest first, those that do not work any more included."""
        filters_of(request, {})
        page = NEWEST_FIRST.page(request, own_keys(request), f"{base_url(request)}/api_keys")
        data = [api_key_object(key) for key in page.rows]
        return show(request, ApiKeyList(data=data, next=page.next, previous=page.previous))

    @documented(
        "Make an API key",
        operation="create_api_key",
        tag="Account",
        asks=CreateApiKey,
        shows=NewApiKeyObject,
        status=201,
        scope="keys:write",
        parameters=[KEY_HONOURED],
    )
    def post(self, request: Request) -> HttpResponse:
        """Make a key, which may do no more than the key of this call. `key` is shown this once."""
        document = read_document(request._request)

        def create() -> Answer:
            wish = convert(document, CreateApiKey)
            return answer_with_new(api_keys.create_key(by=caller_of(request), wish=wish), request)

        return respond(once(request, document, create, secret=True))


class ApiKeyView(Door):
    """One key."""

    scopes = {"GET": "keys:read", "DELETE": "keys:write"}

    @documented(
        "Read an API key",
        operation="get_api_key",
        tag="Account",
        shows=ApiKeyObject,
        scope="keys:read",
        parameters=[API_KEY_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, key_id: str) -> HttpResponse:
        """Show a key of the account, without its secret."""
        key = own_keys(request).filter(id=key_id_of(key_id)).first()
        if key is None:
            raise NotFound("There is no such API key.")
        return show(request, api_key_object(key), key.version)

    @documented(
        "Revoke an API key",
        operation="revoke_api_key",
        tag="Account",
        shows=ApiKeyObject,
        scope="keys:write",
        parameters=[API_KEY_ID, IF_MATCH],
        problems=["not_found", "version_conflict"],
    )
    def delete(self, request: Request, key_id: str) -> HttpResponse:
        """Let a key work no more, from the next request on. A second time changes nothing."""
        version = expected_version(request)
        with unit_of_work():
            key = api_keys.revoke_key(by=caller_of(request), key_id=key_id_of(key_id), expected_version=version)
        body = encode(api_key_object(key))
        return respond(Answer(200, body, {"ETag": entity_tag(body, key.version)}))


class RotationView(Door):
    """The rotation of a key."""

    scopes = {"POST": "keys:write"}

    @documented(
        "Rotate an API key",
        operation="rotate_api_key",
        tag="Account",
        asks=RotateApiKey,
        shows=NewApiKeyObject,
        status=201,
        scope="keys:write",
        parameters=[API_KEY_ID, KEY_HONOURED, IF_MATCH],
        problems=["not_found", "version_conflict"],
    )
    def post(self, request: Request, key_id: str) -> HttpResponse:
        """Make a key that takes over from it; both work for the overlap."""
        document = read_document(request._request)
        version = expected_version(request)

        def rotate() -> Answer:
            overlap = timedelta(seconds=convert(document, RotateApiKey).overlap_seconds)
            made = api_keys.rotate_key(
                by=caller_of(request), key_id=key_id_of(key_id), overlap=overlap, expected_version=version
            )
            return answer_with_new(made, request)

        return respond(once(request, document, rotate, secret=True))
