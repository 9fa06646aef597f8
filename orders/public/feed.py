"""The customers' feed: public events, written by a consumer, in an order that no late COMMIT can break.

A customer's events get their places in the feed under the lock of the customer's feed row, which is held until COMMIT:
so places become visible in their order, and whoever has read up to one has missed none before it. The same lock guards
the sequence of each order. See docs/decisions/0019.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Max

from orders.events import OrderPlaced
from orders.models import Order, PublicEvent
from orders.public.contracts import contract_of_data
from orders.public.hooks import offer_of
from orders.public.translation import translate
from outbox.consumers import Received
from outbox.contracts import Event
from outbox.models import Delivery, Message
from outbox.outcomes import NotDone, snooze
from outbox.publishing import require_unit_of_work
from outbox.webhooks import offering

CONSUMER = "orders.public_events"
PLACED = "order.placed"
LOOK_AGAIN = timedelta(milliseconds=200)

_TAKE_PLACES = """
INSERT INTO orders_customerfeed (customer_id, last_position)
SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS wanted (customer_id, places) ORDER BY customer_id
ON CONFLICT (customer_id) DO UPDATE
SET last_position = orders_customerfeed.last_position + excluded.last_position
RETURNING customer_id, last_position
"""


def after_its_placing(event: Event) -> UUID | None:
    """Order events by their order. The placing needs no key: the others wait for it (see _number)."""
    return None if isinstance(event, OrderPlaced) else _order_id(event)


def _order_id(event: Event) -> UUID:
    order_id: UUID = event.order_id  # type: ignore[attr-defined]  # every event that is translated carries it
    return order_id


@require_unit_of_work
def tell(received: Sequence[Received]) -> dict[UUID, NotDone]:
    """Write what customers are told of these internal events; those told before are left out.

    Returns which messages have to wait for the placing of their order to be told.
    """
    told = set(PublicEvent.objects.filter(id__in=[one.message.id for one in received]).values_list("id", flat=True))
    fresh = [one for one in received if one.message.id not in told]
    if not fresh:
        return {}
    orders = Order.objects.only("id", "customer_id", "reference").in_bulk({_order_id(one.payload) for one in fresh})
    rows = [_row(one, orders[_order_id(one.payload)]) for one in fresh]
    last_positions = _take_places(Counter(row.customer_id for row in rows))
    premature = _number(rows, last_positions, _sequences(orders.keys()))
    if not premature:
        PublicEvent.objects.bulk_create(rows)
        offering.offer([offer_of(row) for row in rows])
    return {id_: snooze(LOOK_AGAIN, "the placing of the order is told first") for id_ in premature}


def _row(one: Received, order: Order) -> PublicEvent:
    data = translate(one.payload, order)
    declared = contract_of_data(data)
    placed = one.payload if isinstance(one.payload, OrderPlaced) else None
    return PublicEvent(
        id=one.message.id,
        customer_id=order.customer_id,
        order_id=order.id,
        type=declared.name,
        version=declared.version,
        occurred_at=placed.placed_at if placed else one.message.created_at,
        data=msgspec.to_builtins(data),
    )


def _take_places(wanted: Mapping[UUID, int]) -> dict[UUID, int]:
    """Take places in the customers' feeds, whose rows stay locked until COMMIT; return the place before the first."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_PLACES, [list(wanted), list(wanted.values())])
        return {customer_id: last - wanted[customer_id] for customer_id, last in cursor.fetchall()}


def _sequences(order_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the last sequence of each order that has one. Read it under the lock of the feeds."""
    found = PublicEvent.objects.filter(order_id__in=order_ids).values("order_id").annotate(last=Max("sequence"))
    return {row["order_id"]: row["last"] for row in found.order_by()}


def _number(rows: Sequence[PublicEvent], places: Mapping[UUID, int], sequences: Mapping[UUID, int]) -> list[UUID]:
    """Give each row its place in the customer's feed, and its number in the order's; return those that come too soon.

    A batch with priorities, as after a replay, may hold an order's placing behind what followed it.
    """
    next_place, next_number = defaultdict[UUID, int](int, places), defaultdict[UUID, int](int, sequences)
    premature = []
    for row in sorted(rows, key=lambda row: row.type != PLACED):
        if row.type != PLACED and not next_number[row.order_id] and _placing_is_on_its_way(row.order_id):
            premature.append(row.id)
        next_place[row.customer_id] += 1
        next_number[row.order_id] += 1
        row.position, row.sequence = next_place[row.customer_id], next_number[row.order_id]
    return premature


def _placing_is_on_its_way(order_id: UUID) -> bool:
    """Tell whether an order's placing has still to be told; one from before there was a feed never is."""
    placings = Message.objects.filter(aggregate_id=order_id, name="orders.order_placed").values("id")
    return Delivery.objects.filter(consumer=CONSUMER, message_id__in=placings).exists()
