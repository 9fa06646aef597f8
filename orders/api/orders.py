"""Orders: placing, reading, cancelling, following."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from fulfillment import facade as fulfillment
from orders import selectors, services
from orders.api.door import (
    Door,
    base_url,
    encode,
    entity_tag,
    expected_version,
    once,
    order_id_of,
    own_orders,
    respond,
    show,
)
from orders.api.door import caller_of as caller
from orders.api.filters import ORDER_FILTERS, filters_of
from orders.api.pagination import Listing
from orders.api.reading import read_document
from orders.api.schema import (
    IF_MATCH,
    IF_NONE_MATCH,
    KEY_HONOURED,
    KEY_REQUIRED,
    ORDER_ID,
    PAGING,
    PREFER_WAIT,
    documented,
    query,
)
from orders.api.unchanged import unless_unchanged
from orders.api.validation import convert
from orders.errors import NotFound
from orders.models import Order
from orders.representations import OrderList, OrderObject, PaymentList, Progress, ShipmentList, Timeline
from orders.requests import CancelOrder, PlaceOrder
from orders.serializers import order_object, payment_object, shipment_object
from orders.states import OrderStatus
from outbox.idempotency import Answer
from payments import facade as payments

NEWEST_FIRST = Listing[Order](
    name="orders", columns=("placed_at", "id"), parsers=(selectors.parse_time, UUID), descending=True
)


def find_order(orders: QuerySet[Order], public: str) -> Order:
    """Return one of `orders` with its lines. Raises NotFound."""
    order = orders.prefetch_related("lines").filter(id=order_id_of(public)).first()
    if order is None:
        raise NotFound("There is no such order.")
    return order


def answer_with(order: Order, request: Request, status: int, **headers: str) -> Answer:
    """Return the answer that shows an order as it is now."""
    progress = selectors.progress_of_orders([order])[order.id]
    body = encode(order_object(order, list(order.lines.all()), progress, base_url(request)))
    return Answer(status, body, {"ETag": entity_tag(body, order.version), **headers})


class OrdersView(Door):
    """The caller's orders."""

    scopes = {"GET": "orders:read", "POST": "orders:write"}

    @documented(
        "List orders",
        operation="list_orders",
        tag="Orders",
        shows=OrderList,
        scope="orders:read",
        parameters=[
            query("status", "Only orders in this status.", enum=OrderStatus.values),
            query("reference", "Only orders with this reference of yours.", minLength=1, maxLength=200),
            query("sku", "Only orders with a line of this product.", minLength=1, maxLength=200),
            query("placed_after", "Only orders placed after this time.", format="date-time"),
            query("placed_before", "Only orders placed before this time.", format="date-time"),
            *PAGING,
            IF_NONE_MATCH,
        ],
        problems=["invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List your orders, newest first. Filters may be combined; follow `next` for more."""
        base = base_url(request)
        rows = own_orders(request).filter(filters_of(request, ORDER_FILTERS)).prefetch_related("lines")
        page = NEWEST_FIRST.page(request, rows, f"{base}/orders")
        progress = selectors.progress_of_orders(page.rows)
        data = [order_object(order, list(order.lines.all()), progress[order.id], base) for order in page.rows]
        return show(request, OrderList(data=data, next=page.next, previous=page.previous))

    @documented(
        "Place an order",
        operation="place_order",
        tag="Orders",
        asks=PlaceOrder,
        shows=OrderObject,
        status=201,
        scope="orders:write",
        parameters=[KEY_REQUIRED, PREFER_WAIT],
        problems=["idempotency_key_required", "unknown_sku", "insufficient_stock", "total_changed"],
    )
    def post(self, request: Request) -> HttpResponse:
        """Place an order: its price is fixed, its goods are reserved, and the payment goes on its way.

        Repeat a request whose answer was lost with the same Idempotency-Key: it orders once, and the first answer comes
        again. With `Prefer: wait=N` the answer waits until it is known what became of the payment.
        """
        document = read_document(request._request)
        return respond(once(request, document, lambda: self.place(request, document), required=True))

    @staticmethod
    def place(request: Request, document: dict[str, Any]) -> Answer:
        """Place the order that the document asks for, and show it."""
        placed = services.place_order(customer_id=caller(request).customer_id, request=convert(document, PlaceOrder))
        progress = selectors.first_progress(placed.order)
        shown = order_object(placed.order, placed.lines, progress, base_url(request))
        body = encode(shown)
        headers = {"Location": shown.links.self_, "ETag": entity_tag(body, placed.order.version)}
        return Answer(201, body, headers)


class OrderView(Door):
    """One order."""

    scopes = {"GET": "orders:read"}

    @documented(
        "Read an order",
        operation="get_order",
        tag="Orders",
        shows=OrderObject,
        scope="orders:read",
        parameters=[ORDER_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """Show an order as it is now: what was ordered, how far it is, and what to ask next."""
        return unless_unchanged(request, order_id, lambda: self.show(request, order_id))

    @staticmethod
    def show(request: Request, order_id: str) -> HttpResponse:
        """Show the order."""
        order = find_order(own_orders(request), order_id)
        progress = selectors.progress_of_orders([order])[order.id]
        return show(request, order_object(order, list(order.lines.all()), progress, base_url(request)), order.version)


class CancellationView(Door):
    """The cancellation of an order."""

    scopes = {"POST": "orders:write"}

    @documented(
        "Cancel an order",
        operation="cancel_order",
        tag="Orders",
        asks=CancelOrder,
        shows=OrderObject,
        status=202,
        scope="orders:write",
        parameters=[ORDER_ID, KEY_HONOURED, IF_MATCH],
        problems=["not_found", "order_not_cancellable", "version_conflict"],
    )
    def post(self, request: Request, order_id: str) -> HttpResponse:
        """Ask for an order to be cancelled: the payment is given back and the goods are released.

        The answer shows the order on its way there; a second request changes nothing and is answered alike. Once a
        parcel is handed over to the carrier the answer is 409 `order_not_cancellable`.
        """
        document = read_document(request._request)
        version = expected_version(request)

        def cancel() -> Answer:
            wish = convert(document, CancelOrder)
            order = services.cancel_order(
                within=own_orders(request), order_id=order_id_of(order_id), reason=wish.reason, expected_version=version
            )
            return answer_with(order, request, 202)

        return respond(once(request, document, cancel, required=False))


class ProgressView(Door):
    """How far an order is."""

    scopes = {"GET": "orders:read"}

    @documented(
        "Follow an order's progress",
        operation="get_order_progress",
        tag="Orders",
        shows=Progress,
        scope="orders:read",
        parameters=[ORDER_ID, IF_NONE_MATCH, PREFER_WAIT],
        problems=["not_found", "rate_limited"],
        streams=True,
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """Show how far an order is, what it waits for, and when that is tried again.

        With `Prefer: wait=N` the answer waits for a change. With `Accept: text/event-stream` it is a stream that sends
        the progress at once and after every change, until the order is final; `Last-Event-ID` resumes it.
        """
        return unless_unchanged(request, order_id, lambda: self.show(request, order_id))

    @staticmethod
    def show(request: Request, order_id: str) -> HttpResponse:
        """Show the progress."""
        order = find_order(own_orders(request), order_id)
        return show(request, selectors.progress_of_orders([order])[order.id])


class TimelineView(Door):
    """Everything that happened to an order."""

    scopes = {"GET": "orders:read"}

    @documented(
        "Read what happened to an order",
        operation="get_order_timeline",
        tag="Orders",
        shows=Timeline,
        scope="orders:read",
        parameters=[ORDER_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """Show everything that happened to an order, oldest first, in words for people."""
        order = find_order(own_orders(request), order_id)
        return show(request, Timeline(data=selectors.timeline_of(order)))


class PaymentsView(Door):
    """The payments of an order."""

    scopes = {"GET": "payments:read"}

    @documented(
        "List an order's payments",
        operation="list_order_payments",
        tag="Payments",
        shows=PaymentList,
        scope="payments:read",
        parameters=[ORDER_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """List the payments of an order, with what was authorised, captured and refunded of each."""
        order = find_order(own_orders(request), order_id)
        return show(request, PaymentList(data=[payment_object(p) for p in payments.payments_of(order.id)]))


class ShipmentsView(Door):
    """The parcels of an order."""

    scopes = {"GET": "orders:read"}

    @documented(
        "List an order's shipments",
        operation="list_order_shipments",
        tag="Shipments",
        shows=ShipmentList,
        scope="orders:read",
        parameters=[ORDER_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """List the parcels of an order, with what is in each and where it is."""
        order = find_order(own_orders(request), order_id)
        return show(request, ShipmentList(data=[shipment_object(s) for s in fulfillment.shipments_of(order.id)]))
