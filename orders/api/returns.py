"""Sending goods back."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from fulfillment import facade as fulfillment
from orders import returns, selectors
from orders.api.door import Door, base_url, encode, entity_tag, once, order_id_of, own_orders, respond, show
from orders.api.orders import find_order
from orders.api.reading import read_document
from orders.api.schema import IF_NONE_MATCH, KEY_REQUIRED, ORDER_ID, RETURN_ID, documented
from orders.api.validation import convert
from orders.errors import NotFound
from orders.models import Order
from orders.public_ids import RETURN, parse_public_id
from orders.requests import RequestReturn
from orders.return_representations import ReturnList, ReturnObject
from orders.serializers import return_object
from outbox.idempotency import Answer


def shown(request: Request, order: Order, rows: Sequence[fulfillment.ReturnView]) -> list[ReturnObject]:
    """Return what customers see of returns of one order."""
    progress = selectors.progress_of_returns([row.id for row in rows])
    lines, base = list(order.lines.all()), base_url(request)
    return [return_object(row, order, lines, progress[row.id], base) for row in rows]


class OrderReturnsView(Door):
    """The returns of an order."""

    scopes = {"GET": "orders:read", "POST": "orders:write"}

    @documented(
        "List an order's returns",
        operation="list_order_returns",
        tag="Returns",
        shows=ReturnList,
        scope="orders:read",
        parameters=[ORDER_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """List what you send back of an order, oldest first, with how far each return is and what it waits for."""
        order = find_order(own_orders(request), order_id)
        return show(request, ReturnList(data=shown(request, order, fulfillment.returns_of(order.id))))

    @documented(
        "Send goods back",
        operation="request_return",
        tag="Returns",
        asks=RequestReturn,
        shows=ReturnObject,
        status=201,
        scope="orders:write",
        parameters=[ORDER_ID, KEY_REQUIRED],
        problems=["not_found", "idempotency_key_required"],
    )
    def post(self, request: Request, order_id: str) -> HttpResponse:
        """Send back what a parcel brought, all of it or some pieces.

        In time, the return is `approved` at once; later a person decides. It is paid back when the goods have arrived
        and were inspected. No more can be sent back than was sent to you and is not in a return yet: the code
        `not_returnable` at the line says how many are left.
        """
        document = read_document(request._request)
        return respond(once(request, document, lambda: self.ask(request, order_id, document), required=True))

    @staticmethod
    def ask(request: Request, order_id: str, document: dict[str, Any]) -> Answer:
        """Note what the document wants to send back, and show it."""
        wish, orders = convert(document, RequestReturn), own_orders(request)
        returned = returns.request_return(within=orders, order_id=order_id_of(order_id), request=wish)
        (made,) = shown(request, find_order(orders, order_id), [returned])
        body = encode(made)
        return Answer(201, body, {"Location": made.links.self_, "ETag": entity_tag(body)})


class ReturnView(Door):
    """One return."""

    scopes = {"GET": "orders:read"}

    @documented(
        "Read a return",
        operation="get_return",
        tag="Returns",
        shows=ReturnObject,
        scope="orders:read",
        parameters=[RETURN_ID, IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, return_id: str) -> HttpResponse:
        """Read one return: how far it is, what was found, and what is paid back."""
        found = parse_public_id(RETURN, return_id)
        row = fulfillment.find_return(found) if found else None
        order = own_orders(request).prefetch_related("lines").filter(id=row.order_id).first() if row else None
        if row is None or order is None:
            raise NotFound("There is no such return.")
        return show(request, shown(request, order, [row])[0])
