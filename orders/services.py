"""Writes of the orders domain. A door opens the unit of work; services refuse to run without one.

Lock order: order, saga, payment, shipments, stock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from moneyed import Money
from uuid_utils.compat import uuid7

from fulfillment import facade as fulfillment
from orders import process
from orders.errors import (
    FieldError,
    NotFound,
    OrderNotCancellable,
    OrderNotReviewable,
    UnknownSku,
    ValidationFailed,
    VersionConflict,
)
from orders.events import OrderCancelling, OrderPlaced, ReviewPassed, ReviewRefused
from orders.models import Order, OrderLine
from orders.pricing import CatalogueItem, PricedLine, check_expected_total, is_currency, order_total
from orders.requests import Address, PlaceOrder
from orders.routes import Basket, choose_route
from orders.states import ORDER, FulfillmentStatus, OrderStatus, Route
from outbox import audit
from outbox.context import current
from outbox.publishing import publish, require_unit_of_work
from outbox.rows import insert
from payments import facade as payments

Clock = Callable[[], datetime]
MAX_TOTAL = Decimal(10) ** 11


@dataclass(frozen=True)
class Placed:
    """An order as it was just placed, with all that its first representation needs."""

    order: Order
    lines: Sequence[OrderLine]


@require_unit_of_work
def place_order(*, customer_id: UUID, request: PlaceOrder, clock: Clock = timezone.now) -> Placed:
    """Price, reserve and record an order, and start its saga. Strong where it must be, and no network.

    Raises ValidationFailed, UnknownSku, TotalChanged, fulfillment.errors.InsufficientStock.
    """
    check_request(request)
    priced = price(request)
    total = order_total(priced)
    check_total(total, request)
    order = _create_order(customer_id, request, total, clock())
    lines = _create_lines(order, priced)
    payments.record_intent(
        payment_id=order.payment_id,
        order_id=order.id,
        amount=total.amount,
        currency=order.currency,
        payment_method=order.payment_method,
    )
    # Stock rows are fought over: they are locked last, so that they are held for the shortest time.
    if _reserve(order, lines, priced, request.shipping_address):
        _wait_for_stock(order)
    process.start_place_order(order)
    publish(
        OrderPlaced(
            order_id=order.id,
            customer_id=customer_id,
            total=total.amount,
            currency=order.currency,
            lines=len(lines),
            placed_at=order.placed_at,
        )
    )
    return Placed(order, lines)


def check_request(request: PlaceOrder) -> None:
    """Check what one field alone does not tell. Raises ValidationFailed with all that is wrong."""
    errors = []
    if not is_currency(request.currency):
        errors.append(FieldError("/currency", "unknown_currency", f"{request.currency} is not a currency."))
    seen: set[str] = set()
    for index, line in enumerate(request.lines):
        if line.sku in seen:
            detail = f"{line.sku} has a line already. Send one line with the whole quantity."
            errors.append(FieldError(f"/lines/{index}/sku", "duplicate_sku", detail))
        seen.add(line.sku)
    expected = request.expected_total
    if expected is not None and expected.currency != request.currency:
        detail = f"The order is in {request.currency}; expect its total in {request.currency} too."
        errors.append(FieldError("/expected_total/currency", "currency_mismatch", detail))
    if errors:
        raise ValidationFailed(errors)


_PRICES = """
SELECT product.sku, product.name, price.amount, tax.rate, product.weight_grams, product.backorder
FROM orders_product AS product
JOIN orders_taxclass AS tax ON tax.code = product.tax_class_id
LEFT JOIN orders_productprice AS price ON price.product_id = product.id AND price.currency = %(currency)s
WHERE product.active AND product.sku = ANY(%(skus)s)
"""


def price(request: PlaceOrder) -> list[PricedLine]:
    """Price the lines from the catalogue, in one statement. Raises UnknownSku, ValidationFailed."""
    currency = request.currency
    with connection.cursor() as cursor:
        cursor.execute(_PRICES, {"currency": currency, "skus": [line.sku for line in request.lines]})
        found = {row[0]: row for row in cursor.fetchall()}
    _check_known(request, found)
    return [
        PricedLine(CatalogueItem(sku, name, Money(amount, currency), tax_rate, weight_grams, backorder), line.quantity)
        for line in request.lines
        for sku, name, amount, tax_rate, weight_grams, backorder in [found[line.sku]]
    ]


def _check_known(request: PlaceOrder, found: dict[str, tuple[str, str, Decimal | None, Decimal, int, bool]]) -> None:
    unknown = [
        FieldError(f"/lines/{index}/sku", "unknown_sku", f"There is no product {line.sku} in the catalogue.")
        for index, line in enumerate(request.lines)
        if line.sku not in found
    ]
    if unknown:
        raise UnknownSku(unknown)
    unpriced = [
        FieldError(f"/lines/{index}/sku", "no_price", f"{line.sku} has no price in {request.currency}.")
        for index, line in enumerate(request.lines)
        if found[line.sku][2] is None
    ]
    if unpriced:
        raise ValidationFailed(unpriced)


def check_total(total: Money, request: PlaceOrder) -> None:
    """Raise TotalChanged when the customer expected another total, ValidationFailed when it is beyond all bounds."""
    if total.amount >= MAX_TOTAL:
        raise ValidationFailed([FieldError("/lines", "total_too_large", "The total is too large. Split the order.")])
    check_expected_total(total, Decimal(request.expected_total.amount) if request.expected_total else None)


def _route(total: Decimal, *, beyond_stock: bool) -> Route:
    limit = Decimal(settings.REVIEW_ABOVE)
    return choose_route(Basket(total=total, review_above=limit, beyond_stock=beyond_stock))


def _wait_for_stock(order: Order) -> None:
    """Let the order go the way of those that wait: only under the lock of the stock it is known that it has to."""
    order.route = _route(order.total, beyond_stock=True)
    order.fulfillment_status = FulfillmentStatus.BACKORDERED
    order.save(update_fields=["route", "fulfillment_status"])


def _create_order(customer_id: UUID, request: PlaceOrder, total: Money, now: datetime) -> Order:
    order = Order(
        customer_id=customer_id,
        route=_route(total.amount, beyond_stock=False),
        currency=request.currency,
        total=total.amount,
        shipping_address=msgspec.to_builtins(request.shipping_address),
        payment_method=request.payment_method,
        reference=request.reference,
        metadata=request.metadata,
        correlation_id=current().correlation_id or uuid7(),
        placed_at=now,
        updated_at=now,
    )
    insert([order])
    return order


def _create_lines(order: Order, priced: Sequence[PricedLine]) -> list[OrderLine]:
    lines = [
        OrderLine(
            order=order,
            position=position,
            sku=line.item.sku,
            name=line.item.name,
            quantity=line.quantity,
            unit_price=line.unit_price.amount,
            total=line.total.amount,
            tax_rate=line.item.tax_rate,
            weight_grams=line.item.weight_grams,
        )
        for position, line in enumerate(priced, start=1)
    ]
    insert(lines)
    return lines


def _reserve(order: Order, lines: Sequence[OrderLine], priced: Sequence[PricedLine], address: Address) -> bool:
    """Reserve the lines; tell whether something has to be waited for."""
    return fulfillment.reserve(
        order_id=order.id,
        lines=[
            fulfillment.ReserveLine(
                line_id=line.id,
                sku=line.sku,
                quantity=line.quantity,
                weight_grams=line.weight_grams,
                may_wait=asked.item.backorder,
            )
            for line, asked in zip(lines, priced, strict=True)
        ],
        ship_to=fulfillment.ShippingAddress(
            name=address.name,
            line1=address.line1,
            line2=address.line2 or "",
            city=address.city,
            region=address.region or "",
            postal_code=address.postal_code,
            country=address.country,
        ),
    )


@require_unit_of_work
def review_order(*, order_id: UUID, passed: bool, reason: str, expected_version: int) -> Order:
    """Let an order that is held for review go on, or stop it; `reason` is for the customer when it is stopped.

    Raises NotFound, VersionConflict, OrderNotReviewable.
    """
    order = Order.objects.select_for_update(of=("self",)).filter(id=order_id).first()
    if order is None:
        raise NotFound("There is no such order.")
    if expected_version != order.version:
        raise VersionConflict(f"The order is at version {order.version} by now. Read it again, then decide.")
    if order.status != OrderStatus.ON_HOLD or order.reason_code != "review":
        raise OrderNotReviewable(f"The order is {order.get_status_display().lower()}; it does not wait for a review.")
    order.version += 1
    order.save(update_fields=["version"])
    audit.record("review", order.public_id, reason=reason, after={"passed": passed})
    publish(
        ReviewPassed(order_id=order.id)
        if passed
        else ReviewRefused(order_id=order.id, code="review_refused", reason=reason)
    )
    return order


@require_unit_of_work
def cancel_order(
    *,
    within: QuerySet[Order],
    order_id: UUID,
    reason: str,
    expected_version: int | None = None,
    clock: Clock = timezone.now,
) -> Order:
    """Freeze an order of `within` and start undoing it; an order that is being cancelled already is left as it is.

    `within` is what the caller may touch: a customer's own orders, or all. `reason` is shown to the customer.
    Raises NotFound, VersionConflict when the order is not at `expected_version`, OrderNotCancellable.
    """
    order = within.select_for_update(of=("self",)).filter(id=order_id).first()
    if order is None:
        raise NotFound("There is no such order.")
    if expected_version is not None and expected_version != order.version:
        raise VersionConflict(f"The order is at version {order.version} by now. Read it again, then decide.")
    if order.status in (OrderStatus.CANCELLING, OrderStatus.CANCELLED):
        return order
    if ORDER.is_final(order.status):
        raise OrderNotCancellable(f"The order is {order.status}; there is nothing left to cancel.")
    if not fulfillment.cancellable(order.id):
        raise OrderNotCancellable("A parcel of this order is handed over to the carrier. Return the goods instead.")
    order.enter(OrderStatus.CANCELLING)
    order.reason_code, order.reason = "cancelled_on_request", reason
    order.version += 1
    order.updated_at = clock()
    order.save(update_fields=["previous_status", "status", "reason_code", "reason", "version", "updated_at"])
    publish(OrderCancelling(order_id=order.id, code=order.reason_code))
    process.start_cancel_order(order, reason)
    return order
