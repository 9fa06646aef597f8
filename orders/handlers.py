"""Messages in, services called."""

from collections.abc import Sequence
from uuid import UUID

from fulfillment.events import (
    BackorderFilled,
    ReturnApproved,
    ReturnInspected,
    ReturnReceived,
    ReturnRejected,
    ShipmentBookingFailed,
    ShipmentCancellationRefused,
    ShipmentDelivered,
    ShipmentException,
    ShipmentHandedOver,
    ShipmentsBooked,
    ShipmentsCancelled,
    StockAllocated,
    StockAllocationFailed,
    StockReleased,
)
from orders import events, process
from orders.public import feed
from orders.public.hooks import Feed
from orders.public.translation import TRANSLATED
from outbox import stats
from outbox.consumers import Incoming, Received, consumer, consumer_of_many
from outbox.contracts import Event
from outbox.outcomes import NotDone
from outbox.webhooks.source import register_source
from payments.events import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentExpired,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentVoided,
    RefundGranted,
)


@consumer(
    BackorderFilled,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentExpired,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentVoided,
    RefundGranted,
    ReturnApproved,
    ReturnInspected,
    ReturnReceived,
    ReturnRejected,
    ShipmentBookingFailed,
    ShipmentCancellationRefused,
    ShipmentDelivered,
    ShipmentException,
    ShipmentHandedOver,
    ShipmentsBooked,
    ShipmentsCancelled,
    StockAllocated,
    StockAllocationFailed,
    StockReleased,
    events.ReviewPassed,
    events.ReviewRefused,
    name=process.FOLLOWER,
    batch=1,  # it locks orders, which requests lock, too
)
def follow(event: Event, message: Incoming) -> None:
    """Let the order follow its payment and its goods."""
    process.follow(event=event, message=message)


@consumer(
    events.OrderPlaced,
    events.OrderConfirmed,
    events.OrderCompleted,
    events.OrderRejected,
    events.OrderCancelling,
    events.OrderCancelled,
    events.OrderCancellationRefused,
    events.OrderHeld,
    events.OrderResumed,
    PaymentAuthorised,
    PaymentCaptured,
    name="orders.tally",
    batch=100,
)
def tally(event: Event, message: Incoming) -> None:
    """Count what happens to orders and their money, minute by minute, for the dashboards."""
    if isinstance(event, PaymentAuthorised | PaymentCaptured):
        what = "authorised" if isinstance(event, PaymentAuthorised) else "captured"
        stats.tally("orders", f"{what}_{event.currency}", at=message.created_at, by=event.amount)
    else:
        at = event.placed_at if isinstance(event, events.OrderPlaced) else message.created_at
        stats.tally("orders", message.type.removeprefix("orders.order_"), at=at)


@consumer_of_many(*TRANSLATED, name=feed.CONSUMER, batch=100, order_by=feed.after_its_placing)
def tell_customers(received: Sequence[Received]) -> dict[UUID, NotDone]:
    """Write what customers are told of it: their feed of events."""
    return feed.tell(received)


register_source(Feed())
