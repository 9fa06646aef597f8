"""The feed of events: complete, in order, and resumed by a cursor."""

import re

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from orders.api.door import Door, base_url, caller_of, show
from orders.api.filters import EVENT_FILTERS, filters_of
from orders.api.pagination import Listing, link_to
from orders.api.schema import EVENT_ID, IF_NONE_MATCH, documented, query
from orders.errors import InvalidCursor, NotFound
from orders.models import PublicEvent
from orders.public.contracts import PUBLIC
from orders.public.objects import (
    EventList,
    EventObject,
)
from orders.public_ids import EVENT, parse_public_id
from orders.serializers import event_object


def _position(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("a position is a number")
    return int(text)


FEED = Listing[PublicEvent](name="events", columns=("position",), parsers=(_position,))
PARAMETERS = (
    query("limit", "How many on a page.", type="integer", minimum=1, maximum=100, default=20),
    query("cursor", "From `cursor` or `next`: what came after it.", pattern="^[A-Za-z0-9_-]+$"),
    query("type", "Events of this type only.", enum=list(PUBLIC)),
    query("order", "Events of this order only.", pattern="^ord_[0-9a-f]{32}$"),
)


def own_events(request: Request) -> QuerySet[PublicEvent]:
    """Return the caller's events: every query of events starts here."""
    return PublicEvent.objects.filter(customer_id=caller_of(request).customer_id)


class EventsView(Door):
    """The caller's feed."""

    scopes = {"GET": "events:read"}

    @documented(
        "Read the feed of events",
        operation="list_events",
        tag="Events",
        shows=EventList,
        scope="events:read",
        parameters=[*PARAMETERS, IF_NONE_MATCH],
        problems=["invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List what happened since the cursor, oldest first; nothing that is told later comes before it."""
        events = own_events(request).filter(filters_of(request, EVENT_FILTERS))
        limit, cursor = FEED.limit(request), FEED.cursor(request)
        if cursor is not None and cursor.backwards:
            raise InvalidCursor("The feed is read forwards only.")
        after = _position(cursor.key[0]) if cursor else 0
        found = list(events.filter(position__gt=after).order_by("position")[: limit + 1])
        shown = found[:limit]
        place = FEED.place(str(shown[-1].position if shown else after))
        following = link_to(request, f"{base_url(request)}/events", place) if len(found) > limit else None
        return show(request, EventList(data=[event_object(e) for e in shown], next=following, cursor=place))


class EventView(Door):
    """One event."""

    scopes = {"GET": "events:read"}

    @documented(
        "Read an event",
        operation="get_event",
        tag="Events",
        shows=EventObject,
        scope="events:read",
        parameters=[EVENT_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, event_id: str) -> HttpResponse:
        """Show one event of your feed, exactly as the feed and the webhooks tell it."""
        id_ = parse_public_id(EVENT, event_id)
        event = own_events(request).filter(id=id_).first() if id_ else None
        if event is None:
            raise NotFound("There is no such event.")
        return show(request, event_object(event))
