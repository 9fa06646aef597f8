"""From rows to what customers are shown."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from fulfillment.facade import ReturnView, ShipmentView
from orders.callers import Caller
from orders.models import ApiKey, Order, OrderLine, Product, PublicEvent
from orders.pricing import plain
from orders.public.objects import (
    EventObject,
    NewWebhookEndpointObject,
    WebhookAttemptObject,
    WebhookDeliveryObject,
    WebhookEndpointObject,
)
from orders.public_ids import (
    API_KEY,
    EVENT,
    ORDER,
    PAYMENT,
    RETURN,
    SHIPMENT,
    WEBHOOK_DELIVERY,
    WEBHOOK_ENDPOINT,
    public_id,
)
from orders.refunds import refund_for
from orders.representations import (
    AccountObject,
    ApiKeyObject,
    Availability,
    Decline,
    Money,
    NewApiKeyObject,
    OrderLineObject,
    OrderLinks,
    OrderObject,
    ParcelLine,
    PaymentObject,
    ProductObject,
    Progress,
    ShipmentObject,
    ShippingAddress,
)
from orders.return_representations import ReturnLineObject, ReturnLinks, ReturnObject
from outbox.models import WebhookDelivery, WebhookEndpoint, WebhookState
from payments.facade import PaymentView


def money(amount: Decimal, currency: str) -> Money:
    """Return an amount as customers see it."""
    return Money(amount=plain(amount, currency), currency=currency)


def _share(rate: Decimal) -> str:
    return f"{rate.normalize():f}"


def order_links(base: str, order_id: str) -> OrderLinks:
    """Return the links of an order; `base` is the API's own URL."""
    here = f"{base}/orders/{order_id}"
    return OrderLinks(
        self_=here,
        progress=f"{here}/progress",
        timeline=f"{here}/timeline",
        cancellation=f"{here}/cancellation",
        payments=f"{here}/payments",
        shipments=f"{here}/shipments",
        returns=f"{here}/returns",
    )


def order_object(order: Order, lines: Sequence[OrderLine], progress: Progress, base: str) -> OrderObject:
    """Return an order as customers see it."""
    public = order.public_id
    return OrderObject(
        id=public,
        status=str(order.status),
        payment_status=str(order.payment_status),
        fulfillment_status=str(order.fulfillment_status),
        currency=order.currency,
        total=money(order.total, order.currency),
        lines=[_line_object(line, order.currency) for line in lines],
        shipping_address=ShippingAddress(**order.shipping_address),
        reference=order.reference,
        metadata=order.metadata,
        reason_code=order.reason_code or None,
        reason=order.reason or None,
        version=order.version,
        placed_at=order.placed_at,
        created_at=order.placed_at,
        updated_at=order.updated_at,
        progress=progress,
        links=order_links(base, public),
    )


def _line_object(line: OrderLine, currency: str) -> OrderLineObject:
    return OrderLineObject(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_price=money(line.unit_price, currency),
        total=money(line.total, currency),
        tax_rate=_share(line.tax_rate),
    )


def decline_object(payment: PaymentView) -> Decline | None:
    """Return why a payment was declined, None unless it was."""
    if not (payment.decline_code or payment.decline_reason):
        return None
    return Decline(code=payment.decline_code, reason=payment.decline_reason)


def payment_object(payment: PaymentView) -> PaymentObject:
    """Return a payment as customers see it."""
    return PaymentObject(
        id=public_id(PAYMENT, payment.id),
        order=public_id(ORDER, payment.order_id),
        status=payment.status,
        amount=money(payment.amount, payment.currency),
        authorised=money(payment.authorised_amount, payment.currency),
        captured=money(payment.captured_amount, payment.currency),
        refunded=money(payment.refunded_amount, payment.currency),
        payment_method=payment.payment_method,
        decline=decline_object(payment),
        created_at=payment.created_at,
    )


def shipment_object(shipment: ShipmentView) -> ShipmentObject:
    """Return a parcel as customers see it."""
    return ShipmentObject(
        id=public_id(SHIPMENT, shipment.id),
        order=public_id(ORDER, shipment.order_id),
        status=shipment.status,
        warehouse=shipment.warehouse,
        tracking_number=shipment.tracking_number or None,
        lines=[ParcelLine(sku=line.sku, quantity=line.quantity) for line in shipment.lines],
        created_at=shipment.created_at,
    )


def return_object(
    returned: ReturnView, order: Order, lines: Sequence[OrderLine], progress: Progress, base: str
) -> ReturnObject:
    """Return goods that come back as customers see them; `lines` are the order's."""
    public, names = public_id(RETURN, returned.id), {line.id: line.name for line in lines}
    refund = refund_for(returned, lines, order.currency)
    return ReturnObject(
        id=public,
        order=order.public_id,
        status=returned.status,  # type: ignore[arg-type]  # one of the machine's states
        lines=[
            ReturnLineObject(
                sku=line.sku,
                name=names[line.line_id],
                quantity=line.quantity,
                reason=line.reason,
                sellable=line.sellable,
                damaged=line.damaged,
                refused=line.refused,
            )
            for line in returned.lines
        ],
        refund=None if refund is None else money(refund, order.currency),
        reason_code=returned.reason_code or None,
        reason=returned.reason or None,
        created_at=returned.created_at,
        progress=progress,
        links=ReturnLinks(self_=f"{base}/returns/{public}", order=f"{base}/orders/{order.public_id}"),
    )


def product_object(product: Product, available: int) -> ProductObject:
    """Return a product as customers see it; its prices have to be prefetched."""
    prices = [money(price.amount, price.currency) for price in product.prices.all()]
    return ProductObject(
        id=product.sku,
        sku=product.sku,
        name=product.name,
        description=product.description,
        category=product.category,
        prices=prices,
        price=next((price for price in prices if price.currency == "EUR"), prices[0] if prices else None),
        tax_rate=_share(product.tax_class.rate),
        weight_grams=product.weight_grams,
        availability=Availability(quantity=available, backorder=product.backorder),
        created_at=product.created_at,
    )


def account_object(caller: Caller, key: ApiKey, rate_limit: int) -> AccountObject:
    """Return the caller as it sees itself, with the key of this call."""
    return AccountObject(
        id=caller.public_id,
        name=caller.customer_name,
        created_at=caller.customer_since,
        rate_limit=rate_limit,
        api_key=api_key_object(key),
    )


def api_key_object(key: ApiKey) -> ApiKeyObject:
    """Return a key as its customer sees it."""
    return ApiKeyObject(**_api_key(key))


def new_api_key_object(row: ApiKey, key: str) -> NewApiKeyObject:
    """Return a key that was just made, the one time that it is shown."""
    return NewApiKeyObject(**_api_key(row), key=key)


def _api_key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "api_version": key.api_version,
        "rate_limit": key.rate_limit,
        "replaces": public_id(API_KEY, key.replaces_id) if key.replaces_id else None,
        "version": key.version,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def event_object(event: PublicEvent) -> EventObject:
    """Return an event as customers see it, in the feed and in webhooks alike."""
    return EventObject(
        id=event.public_id,
        type=event.type,
        version=event.version,
        order=public_id(ORDER, event.order_id),
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        created_at=event.created_at,
        data=event.data,
    )


def webhook_endpoint_object(endpoint: WebhookEndpoint) -> WebhookEndpointObject:
    """Return an endpoint as its owner sees it."""
    return WebhookEndpointObject(
        id=public_id(WEBHOOK_ENDPOINT, endpoint.id),
        url=endpoint.url,
        events=list(endpoint.events),
        description=endpoint.description,
        ordered=endpoint.ordered,
        enabled=endpoint.enabled,
        disabled_reason=cast("Any", str(endpoint.disabled_reason) or None),
        disabled_at=endpoint.disabled_at,
        failing_since=endpoint.failing_since,
        paused_until=endpoint.open_until,
        last_success_at=endpoint.last_success_at,
        last_failure_at=endpoint.last_failure_at,
        last_error=endpoint.last_error or None,
        former_secret_until=endpoint.former_until,
        version=endpoint.version,
        created_at=endpoint.created_at,
    )


def new_webhook_endpoint_object(endpoint: WebhookEndpoint, secret: str) -> NewWebhookEndpointObject:
    """Return an endpoint with its secret, as it is shown once."""
    return NewWebhookEndpointObject(**msgspec.structs.asdict(webhook_endpoint_object(endpoint)), secret=secret)


def webhook_delivery_object(delivery: WebhookDelivery) -> WebhookDeliveryObject:
    """Return a delivery as the endpoint's owner sees it; its attempts are prefetched."""
    waits = delivery.state == WebhookState.WAITING
    return WebhookDeliveryObject(
        id=public_id(WEBHOOK_DELIVERY, delivery.id),
        endpoint=public_id(WEBHOOK_ENDPOINT, delivery.endpoint_id),
        event=public_id(EVENT, delivery.event_id),
        event_type=delivery.event_type,
        cause=cast("Any", str(delivery.cause)),
        status=cast("Any", str(delivery.state)),
        attempts=[
            WebhookAttemptObject(
                number=attempt.number,
                at=attempt.at,
                duration_ms=attempt.duration_ms,
                status=attempt.status,
                error=attempt.error or None,
                response_body=attempt.answer,
            )
            for attempt in delivery.attempt_log.all()
        ],
        next_attempt_at=delivery.due_at if waits else None,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
    )
