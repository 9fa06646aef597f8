"""The customer's webhook endpoints: where they are told what happens, and how that went."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request
from uuid_utils.compat import uuid7

from orders import selectors
from orders.api.door import Door, base_url, caller_of, encode, entity_tag, expected_version, once, respond, show
from orders.api.filters import DELIVERY_FILTERS, filters_of
from orders.api.pagination import Listing
from orders.api.reading import read_document
from orders.api.schema import (
    DELIVERY_ID,
    ENDPOINT_ID,
    IF_MATCH,
    IF_NONE_MATCH,
    KEY_HONOURED,
    PAGING,
    documented,
    query,
)
from orders.api.validation import convert
from orders.errors import FieldError, NotFound, ValidationFailed, VersionConflict
from orders.public.contracts import PUBLIC
from orders.public.objects import (
    NewWebhookEndpointObject,
    WebhookDeliveryList,
    WebhookDeliveryObject,
    WebhookEndpointList,
    WebhookEndpointObject,
    WebhookReplayObject,
)
from orders.public.samples import test_event
from orders.public_ids import WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT, parse_public_id, public_id
from orders.requests import (
    ChangeWebhookEndpoint,
    CreateWebhookEndpoint,
    RedeliverWebhook,
    ReplayWebhooks,
    RotateWebhookSecret,
    TestWebhookEndpoint,
)
from orders.serializers import new_webhook_endpoint_object, webhook_delivery_object, webhook_endpoint_object
from outbox.idempotency import Answer
from outbox.models import WebhookDelivery, WebhookEndpoint, WebhookState
from outbox.publishing import unit_of_work
from outbox.webhooks import endpoints, offering
from outbox.webhooks.safety import NotAllowed

ENDPOINTS = Listing[WebhookEndpoint](
    name="webhook_endpoints", columns=("created_at", "id"), parsers=(selectors.parse_time, UUID), descending=True
)
DELIVERIES = Listing[WebhookDelivery](name="webhook_deliveries", columns=("id",), parsers=(UUID,), descending=True)
STATUS = query("status", "Deliveries in this state only.", enum=list(WebhookState.values))


def own_endpoints(request: Request) -> QuerySet[WebhookEndpoint]:
    """Return the caller's endpoints: every query of endpoints starts here."""
    return WebhookEndpoint.objects.filter(owner_id=caller_of(request).customer_id, deleted_at=None)


def find_endpoint(endpoints_: QuerySet[WebhookEndpoint], public: str) -> WebhookEndpoint:
    """Return one of the endpoints. Raises NotFound."""
    endpoint_id = parse_public_id(WEBHOOK_ENDPOINT, public)
    endpoint = endpoints_.filter(id=endpoint_id).first() if endpoint_id else None
    if endpoint is None:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint


def hold(request: Request, public: str, version: int | None = None) -> WebhookEndpoint:
    """Return one of the caller's endpoints, locked. Raises NotFound, VersionConflict."""
    endpoint = find_endpoint(own_endpoints(request).select_for_update(), public)
    if version is not None and version != endpoint.version:
        raise VersionConflict(f"The endpoint is at version {endpoint.version} by now. Read it again, then decide.")
    return endpoint


def wished(work: Callable[[], Any]) -> Any:
    """Do what a request asks of an endpoint, with what is wrong with it named by field."""
    try:
        return work()
    except NotAllowed as error:
        raise ValidationFailed([FieldError("/url", "not_allowed", str(error))]) from error
    except endpoints.TooManyEndpoints as error:
        raise ValidationFailed([FieldError("", "too_many_endpoints", str(error))]) from error


def check_events(types: tuple[str, ...]) -> None:
    """Raise ValidationFailed for types that do not exist."""
    there = ", ".join(("*", *PUBLIC))
    faults = [
        FieldError(f"/events/{place}", "unknown_event", f"There is no event {name!r}; there are {there}.")
        for place, name in enumerate(types)
        if name not in PUBLIC and name != offering.ALL
    ]
    if faults:
        raise ValidationFailed(faults)


def answer_with(endpoint: WebhookEndpoint, status: int = 200) -> Answer:
    """Return the answer that shows an endpoint."""
    body = encode(webhook_endpoint_object(endpoint))
    return Answer(status, body, {"ETag": entity_tag(body, endpoint.version)})


def answer_with_secret(endpoint: WebhookEndpoint, secret: str, request: Request) -> Answer:
    """Return the answer that shows an endpoint's new secret, once."""
    body = encode(new_webhook_endpoint_object(endpoint, secret))
    location = f"{base_url(request)}/webhook_endpoints/{public_id(WEBHOOK_ENDPOINT, endpoint.id)}"
    tag = entity_tag(encode(webhook_endpoint_object(endpoint)), endpoint.version)
    return Answer(201, body, {"Location": location, "ETag": tag, "Cache-Control": "no-store"})


class EndpointsView(Door):
    """The caller's endpoints."""

    scopes = {"GET": "webhooks:read", "POST": "webhooks:write"}

    @documented(
        "List webhook endpoints",
        operation="list_webhook_endpoints",
        tag="Webhooks",
        shows=WebhookEndpointList,
        scope="webhooks:read",
        parameters=[*PAGING, IF_NONE_MATCH],
        problems=["invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List the account's endpoints, newest first, with how each of them does."""
        filters_of(request, {})
        page = ENDPOINTS.page(request, own_endpoints(request), f"{base_url(request)}/webhook_endpoints")
        data = [webhook_endpoint_object(endpoint) for endpoint in page.rows]
        return show(request, WebhookEndpointList(data=data, next=page.next, previous=page.previous))

    @documented(
        "Make a webhook endpoint",
        operation="create_webhook_endpoint",
        tag="Webhooks",
        asks=CreateWebhookEndpoint,
        shows=NewWebhookEndpointObject,
        status=201,
        scope="webhooks:write",
        parameters=[KEY_HONOURED],
    )
    def post(self, request: Request) -> HttpResponse:
        """Make one; its signing secret is shown this once."""
        document = read_document(request._request)

        def create() -> Answer:
            wish = convert(document, CreateWebhookEndpoint)
            check_events(wish.events)
            asked = endpoints.Wish(wish.url, wish.events, wish.description, wish.ordered)
            made, secret = wished(lambda: endpoints.create(caller_of(request).customer_id, asked))
            return answer_with_secret(made, secret, request)

        return respond(once(request, document, create, secret=True))


class EndpointView(Door):
    """One endpoint."""

    scopes = {"GET": "webhooks:read", "PATCH": "webhooks:write", "DELETE": "webhooks:write"}

    @documented(
        "Read a webhook endpoint",
        operation="get_webhook_endpoint",
        tag="Webhooks",
        shows=WebhookEndpointObject,
        scope="webhooks:read",
        parameters=[ENDPOINT_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Show one endpoint and how it does, without its secret, which was shown when it was made."""
        endpoint = find_endpoint(own_endpoints(request), endpoint_id)
        return show(request, webhook_endpoint_object(endpoint), endpoint.version)

    @documented(
        "Change a webhook endpoint",
        operation="change_webhook_endpoint",
        tag="Webhooks",
        asks=ChangeWebhookEndpoint,
        shows=WebhookEndpointObject,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, IF_MATCH],
        problems=["not_found", "version_conflict"],
    )
    def patch(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Change what is named, such as the URL, the types, or whether anything is sent; the rest stays as it is."""
        document = read_document(request._request)
        version = expected_version(request)
        wish = convert(document, ChangeWebhookEndpoint)
        named = {name: value for name, value in msgspec.structs.asdict(wish).items() if value is not msgspec.UNSET}
        check_events(named.get("events", ()))
        with unit_of_work():
            held = hold(request, endpoint_id, version)
            endpoint = wished(lambda: endpoints.change(held, endpoints.Wish(**named)))
        return respond(answer_with(endpoint))

    @documented(
        "Remove a webhook endpoint",
        operation="remove_webhook_endpoint",
        tag="Webhooks",
        shows=WebhookEndpointObject,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, IF_MATCH],
        problems=["not_found", "version_conflict"],
    )
    def delete(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Send it nothing more, and forget it with its secret; what still waited for it is discarded."""
        version = expected_version(request)
        with unit_of_work():
            endpoint = hold(request, endpoint_id, version)
            endpoints.remove(endpoint)
        return respond(answer_with(endpoint))


class RotationView(Door):
    """The rotation of a signing secret."""

    scopes = {"POST": "webhooks:write"}

    @documented(
        "Rotate a signing secret",
        operation="rotate_webhook_secret",
        tag="Webhooks",
        asks=RotateWebhookSecret,
        shows=NewWebhookEndpointObject,
        status=201,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, KEY_HONOURED, IF_MATCH],
        problems=["not_found", "version_conflict"],
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Make a new secret, shown this once; for the overlap messages are signed with both."""
        document = read_document(request._request)
        version = expected_version(request)

        def rotate() -> Answer:
            overlap = timedelta(seconds=convert(document, RotateWebhookSecret).overlap_seconds)
            endpoint, secret = endpoints.rotate(hold(request, endpoint_id, version), overlap)
            return answer_with_secret(endpoint, secret, request)

        return respond(once(request, document, rotate, secret=True))


class TestView(Door):
    """A test of an endpoint."""

    scopes = {"POST": "webhooks:write"}

    @documented(
        "Test a webhook endpoint",
        operation="test_webhook_endpoint",
        tag="Webhooks",
        asks=TestWebhookEndpoint,
        shows=WebhookDeliveryObject,
        status=202,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, KEY_HONOURED],
        problems=["not_found"],
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Send it an event of the type `webhook.test`, whatever types it chose."""
        document = read_document(request._request)

        def test() -> Answer:
            convert(document, TestWebhookEndpoint)
            event_id = uuid7()
            delivery = offering.send_test(hold(request, endpoint_id), event_id, encode(test_event(event_id)))
            return Answer(202, encode(webhook_delivery_object(delivery)))

        return respond(once(request, document, test))


class DeliveriesView(Door):
    """The deliveries of an endpoint."""

    scopes = {"GET": "webhooks:read"}

    @documented(
        "List deliveries",
        operation="list_webhook_deliveries",
        tag="Webhooks",
        shows=WebhookDeliveryList,
        scope="webhooks:read",
        parameters=[ENDPOINT_ID, *PAGING, STATUS, IF_NONE_MATCH],
        problems=["not_found", "invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """List them with every attempt, newest first."""
        endpoint = find_endpoint(own_endpoints(request), endpoint_id)
        condition = filters_of(request, DELIVERY_FILTERS)
        rows = WebhookDelivery.objects.filter(condition, endpoint=endpoint).prefetch_related("attempt_log")
        url = f"{base_url(request)}/webhook_endpoints/{public_id(WEBHOOK_ENDPOINT, endpoint.id)}/deliveries"
        page = DELIVERIES.page(request, rows, url)
        data = [webhook_delivery_object(delivery) for delivery in page.rows]
        return show(request, WebhookDeliveryList(data=data, next=page.next, previous=page.previous))


class RedeliveryView(Door):
    """A redelivery."""

    scopes = {"POST": "webhooks:write"}

    @documented(
        "Deliver again",
        operation="redeliver_webhook",
        tag="Webhooks",
        asks=RedeliverWebhook,
        shows=WebhookDeliveryObject,
        status=202,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, DELIVERY_ID, KEY_HONOURED],
        problems=["not_found"],
    )
    def post(self, request: Request, endpoint_id: str, delivery_id: str) -> HttpResponse:
        """Send the event of a delivery again, whatever became of that one; its `webhook-id` stays the same."""
        document = read_document(request._request)

        def redeliver() -> Answer:
            convert(document, RedeliverWebhook)
            endpoint = hold(request, endpoint_id)
            id_ = parse_public_id(WEBHOOK_DELIVERY, delivery_id)
            delivery = WebhookDelivery.objects.filter(endpoint=endpoint, id=id_).first() if id_ else None
            if delivery is None:
                raise NotFound("There is no such delivery.")
            return Answer(202, encode(webhook_delivery_object(offering.redeliver(delivery))))

        return respond(once(request, document, redeliver))


class ReplayView(Door):
    """A replay."""

    scopes = {"POST": "webhooks:write"}

    @documented(
        "Replay since a time",
        operation="replay_webhooks",
        tag="Webhooks",
        asks=ReplayWebhooks,
        shows=WebhookReplayObject,
        status=202,
        scope="webhooks:write",
        parameters=[ENDPOINT_ID, KEY_HONOURED],
        problems=["not_found"],
    )
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Send again everything that happened since, of the types it chose, oldest first."""
        document = read_document(request._request)

        def replay() -> Answer:
            wish = convert(document, ReplayWebhooks)
            endpoint = hold(request, endpoint_id)
            offering.begin_replay(endpoint, wish.since)
            shown = WebhookReplayObject(endpoint=public_id(WEBHOOK_ENDPOINT, endpoint.id), since=wish.since)
            return Answer(202, encode(shown))

        return respond(once(request, document, replay))
