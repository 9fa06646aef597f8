"""What customers are shown of events and webhooks: one type per object. Pure."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from orders.representations import Representation


class EventObject(Representation, frozen=True, kw_only=True):
    """Something that happened to one of your orders: the same in the feed and in webhooks."""

    id: Annotated[
        str,
        Meta(
            description="The same however often it is delivered: remember it to do nothing twice.",
            examples=["evt_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"],
        ),
    ]
    object: Literal["event"] = "event"
    type: Annotated[str, Meta(examples=["order.placed"])]
    version: Annotated[int, Meta(description="Of the contract of this type, which says what `data` holds.")]
    order: Annotated[str | None, Meta(description="The order; null in a test of a webhook endpoint only.")]
    sequence: Annotated[int | None, Meta(description="Counts up within the order, without gaps. Null in a test only.")]
    occurred_at: datetime
    created_at: Annotated[datetime, Meta(description="When it was written to the feed.")]
    data: Annotated[
        dict[str, Any],
        Meta(
            description="What happened; see the contract of the type.",
            examples=[{"reference": "PO-4711", "total": {"amount": "25.80", "currency": "EUR"}}],
        ),
    ]


class EventList(Representation, frozen=True, kw_only=True):
    """A page of the feed, oldest first."""

    data: list[EventObject]
    next: Annotated[str | None, Meta(description="The next page; null when there is nothing more yet.")]
    cursor: Annotated[
        str,
        Meta(
            description="The place after the last event shown; resume with it, now or later.",
            examples=["WzE3NjQwNjM4MDBd"],
        ),
    ]


class WebhookEndpointObject(Representation, frozen=True, kw_only=True):
    """Where you are told what happens, and how that goes."""

    id: Annotated[str, Meta(examples=["whk_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: Annotated[str, Meta(examples=["https://example.com/hooks/tandem"])]
    events: Annotated[list[str], Meta(description="The types that are sent; `*` for all.", examples=[["*"]])]
    description: Annotated[str, Meta(examples=["Our bookkeeping"])]
    ordered: Annotated[bool, Meta(description="The events of an order come one after the other.")]
    enabled: bool
    disabled_reason: Annotated[
        Literal["owner", "staff", "failing", "gone"] | None,
        Meta(
            description="`failing`: nothing was delivered for days; it is tried every hour, and enabled when it "
            "answers. `gone`: it answered 410."
        ),
    ]
    disabled_at: datetime | None
    failing_since: Annotated[
        datetime | None,
        Meta(description="Since when every call has failed; null if none does.", examples=["2026-01-31T12:00:00Z"]),
    ]
    paused_until: Annotated[
        datetime | None,
        Meta(description="Nothing is sent before then, as calls failed.", examples=["2026-01-31T12:00:00Z"]),
    ]
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: Annotated[
        str | None, Meta(description="Why the last call failed, in words.", examples=["It answered 500."])
    ]
    former_secret_until: Annotated[
        datetime | None,
        Meta(description="How long it is signed with the secret before, too.", examples=["2026-01-31T12:00:00Z"]),
    ]
    version: Annotated[int, Meta(description="Grows with each change; for If-Match.")]
    created_at: datetime


class NewWebhookEndpointObject(WebhookEndpointObject, frozen=True, kw_only=True):
    """An endpoint with its signing secret: `secret` is shown this once."""

    secret: Annotated[
        str,
        Meta(
            description="Verifies the signatures. Keep it safe: it cannot be shown again.",
            examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        ),
    ]


class WebhookEndpointList(Representation, frozen=True, kw_only=True):
    """A page of webhook endpoints, newest first."""

    data: list[WebhookEndpointObject]
    next: str | None
    previous: str | None


class WebhookAttemptObject(Representation, frozen=True, kw_only=True):
    """One call of an endpoint."""

    number: Annotated[int, Meta(description="Counts from 1.")]
    at: datetime
    duration_ms: int
    status: Annotated[int | None, Meta(description="Of the answer; null when none came.")]
    error: Annotated[
        str | None,
        Meta(description="Why it does not count as delivered; null when it does.", examples=["It answered 500."]),
    ]
    response_body: Annotated[str, Meta(description="The first 4 KiB.", examples=["Internal Server Error"])]


class WebhookDeliveryObject(Representation, frozen=True, kw_only=True):
    """An event on its way to an endpoint, and what became of it."""

    id: Annotated[str, Meta(examples=["whd_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    object: Literal["webhook_delivery"] = "webhook_delivery"
    endpoint: Annotated[str, Meta(examples=["whk_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    event: Annotated[
        str,
        Meta(
            description="The event's id, which is the header `webhook-id`.",
            examples=["evt_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"],
        ),
    ]
    event_type: Annotated[str, Meta(examples=["order.completed"])]
    cause: Annotated[Literal["event", "test", "redelivery", "replay"], Meta(description="Why it is sent.")]
    status: Annotated[
        Literal["waiting", "sending", "succeeded", "failed", "discarded"],
        Meta(description="`failed`: given up; ask for a redelivery."),
    ]
    attempts: Annotated[list[WebhookAttemptObject], Meta(description="Every call, oldest first.")]
    next_attempt_at: Annotated[datetime | None, Meta(description="Not before then; null when nothing more is done.")]
    created_at: datetime
    finished_at: datetime | None


class WebhookDeliveryList(Representation, frozen=True, kw_only=True):
    """A page of deliveries, newest first."""

    data: list[WebhookDeliveryObject]
    next: str | None
    previous: str | None


class WebhookReplayObject(Representation, frozen=True, kw_only=True):
    """A replay that has begun: its deliveries show in the endpoint's list."""

    object: Literal["webhook_replay"] = "webhook_replay"
    endpoint: Annotated[str, Meta(examples=["whk_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f"])]
    since: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
