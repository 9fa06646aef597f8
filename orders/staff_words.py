"""What staff read instead of codes: states, messages and failures in words, each state with its tone.

A tone is one of progress, waiting, done, attention, failed: one colour and one shape per meaning.
"""

from dataclasses import dataclass
from typing import Any

from orders.states import FulfillmentStatus, OrderStatus, PaymentStatus


@dataclass(frozen=True, slots=True)
class Words:
    """A state in words, and how it looks."""

    tone: str
    word: str


ORDER = {
    OrderStatus.PLACED: Words("progress", "Placed"),
    OrderStatus.CONFIRMED: Words("progress", "Confirmed"),
    OrderStatus.COMPLETED: Words("done", "Completed"),
    OrderStatus.REJECTED: Words("failed", "Rejected"),
    OrderStatus.CANCELLING: Words("progress", "Cancelling"),
    OrderStatus.CANCELLED: Words("waiting", "Cancelled"),
    OrderStatus.ON_HOLD: Words("attention", "On hold"),
}

PAYMENT = {
    PaymentStatus.AUTHORISING: Words("progress", "Authorising"),
    PaymentStatus.REQUIRES_ACTION: Words("waiting", "Customer must confirm"),
    PaymentStatus.AUTHORISED: Words("progress", "Authorised"),
    PaymentStatus.CAPTURED: Words("done", "Captured"),
    PaymentStatus.PARTIALLY_REFUNDED: Words("done", "Partly refunded"),
    PaymentStatus.REFUNDED: Words("waiting", "Refunded"),
    PaymentStatus.DECLINED: Words("failed", "Declined"),
    PaymentStatus.VOIDED: Words("waiting", "Voided"),
    PaymentStatus.EXPIRED: Words("waiting", "Expired"),
    PaymentStatus.UNKNOWN: Words("attention", "Not known"),
}

GOODS = {
    FulfillmentStatus.RESERVED: Words("progress", "Reserved"),
    FulfillmentStatus.BACKORDERED: Words("waiting", "Backordered"),
    FulfillmentStatus.ALLOCATED: Words("progress", "Allocated"),
    FulfillmentStatus.PARTIALLY_SHIPPED: Words("progress", "Partly shipped"),
    FulfillmentStatus.SHIPPED: Words("done", "Shipped"),
    FulfillmentStatus.DELIVERED: Words("done", "Delivered"),
    FulfillmentStatus.RELEASED: Words("waiting", "Released"),
    FulfillmentStatus.RETURNED: Words("waiting", "Returned"),
}

SHIPMENT = {
    "planned": Words("waiting", "Planned"),
    "label_pending": Words("progress", "Label asked for"),
    "ready": Words("progress", "Ready for collection"),
    "handed_over": Words("progress", "Handed over"),
    "in_transit": Words("progress", "On its way"),
    "delivered": Words("done", "Delivered"),
    "voided": Words("waiting", "Voided"),
    "failed": Words("failed", "Refused by the carrier"),
    "exception": Words("attention", "Exception"),
    "lost": Words("failed", "Lost"),
    "returned": Words("waiting", "Returned"),
}

RETURN = {
    "requested": Words("attention", "To be decided"),
    "approved": Words("waiting", "Goods awaited"),
    "rejected": Words("failed", "Rejected"),
    "received": Words("attention", "To be inspected"),
    "inspected": Words("progress", "Being refunded"),
    "refund_granted": Words("progress", "Being refunded"),
    "closed": Words("done", "Paid back"),
}

STEP = {
    "pending": Words("waiting", "Not yet"),
    "running": Words("progress", "Under way"),
    "waiting": Words("progress", "Waiting"),
    "done": Words("done", "Done"),
    "failed": Words("failed", "Failed"),
    "compensating": Words("progress", "Being undone"),
    "compensated": Words("waiting", "Undone"),
    "skipped": Words("waiting", "Skipped"),
    "needs_attention": Words("attention", "Needs attention"),
}

SAGA = {
    "running": Words("progress", "Running"),
    "completed": Words("done", "Completed"),
    "compensating": Words("progress", "Compensating"),
    "compensated": Words("waiting", "Compensated"),
    "suspended": Words("waiting", "Suspended"),
    "forward_stuck": Words("attention", "Stuck going forward"),
    "compensation_stuck": Words("attention", "Stuck compensating"),
}

METHODS = {
    "pm_card_visa": "Card (Visa)",
    "pm_card_chargeDeclined": "Card (test: declined)",
    "pm_card_chargeDeclinedInsufficientFunds": "Card (test: insufficient funds)",
    "pm_card_authenticationRequired": "Card (test: asks for authentication)",
    "pm_card_captureFails": "Card (test: capture fails)",
}

DESTINATIONS = {
    "payments": "The payment provider",
    "payments.refunds": "The payment provider's refunds",
    "carrier": "The carrier",
}

# What a message says, with the fields of its payload that belong into the sentence.
SENTENCES: dict[str, Words] = {
    "authorise_payment": Words("progress", "Asked the payment provider to hold the amount"),
    "confirm_authorisation": Words("progress", "Asked the payment provider to confirm"),
    "capture_payment": Words("progress", "Asked the payment provider to take the money"),
    "void_payment": Words("progress", "Asked to release the money"),
    "refund_payment": Words("progress", "Asked to pay back {amount} {currency}"),
    "payment_authorised": Words("done", "Payment authorised: {amount} {currency}"),
    "payment_declined": Words("failed", "Payment declined"),
    "payment_action_required": Words("waiting", "The customer must confirm with their bank"),
    "payment_captured": Words("done", "Money captured: {amount} {currency}"),
    "payment_capture_failed": Words("failed", "The money could not be captured"),
    "payment_voided": Words("done", "No money is held any more"),
    "payment_refunded": Words("done", "Paid back: {amount} {currency}"),
    "payment_refund_failed": Words("failed", "The money could not be paid back"),
    "payment_expired": Words("waiting", "The authorisation expired"),
    "allocate_stock": Words("progress", "Asked to set the goods aside"),
    "synchronise_payment": Words("progress", "The payment provider reported a change"),
    "release_stock": Words("progress", "Asked to put the goods back into stock"),
    "book_shipments": Words("progress", "Asked to book the shipments"),
    "book_label": Words("progress", "Asked the carrier for a label"),
    "void_label": Words("progress", "Asked the carrier to void a label"),
    "follow_parcel": Words("progress", "The carrier reported on a parcel"),
    "cancel_shipments": Words("progress", "Asked to cancel the shipments"),
    "stock_allocated": Words("done", "Goods set aside"),
    "check_backorder": Words("progress", "Stock came in: looked whether the order is complete"),
    "backorder_filled": Words("done", "Everything that was waited for is in stock"),
    "stock_allocation_failed": Words("failed", "The goods could not be set aside"),
    "stock_released": Words("done", "Goods put back into stock"),
    "shipments_booked": Words("done", "Shipments booked: {shipments}"),
    "shipment_booking_failed": Words("failed", "The carrier refused the shipment"),
    "shipments_cancelled": Words("done", "Shipments cancelled"),
    "shipment_cancellation_refused": Words("attention", "Too late to cancel: a parcel was handed over"),
    "shipment_handed_over": Words("done", "Parcel handed to the carrier"),
    "shipment_delivered": Words("done", "Parcel delivered"),
    "shipment_exception": Words("attention", "The carrier reports a problem with a parcel"),
    "return_requested": Words("progress", "The customer wants to send goods back; pieces: {pieces}"),
    "return_approved": Words("done", "Return approved"),
    "return_rejected": Words("failed", "Return rejected"),
    "return_received": Words("done", "Returned goods arrived in {warehouse}"),
    "return_inspected": Words("done", "Returned goods inspected; pieces taken back: {accepted}"),
    "return_closed": Words("done", "Return closed"),
    "grant_refund": Words("progress", "Asked to set {amount} {currency} aside for a refund"),
    "refund_granted": Words("done", "Refund granted: {amount} {currency}"),
    "order_placed": Words("done", "Order recorded: {total} {currency}"),
    "order_confirmed": Words("done", "Order confirmed"),
    "order_completed": Words("done", "Order completed"),
    "order_rejected": Words("failed", "Order rejected"),
    "review_passed": Words("done", "A person let the order pass"),
    "review_refused": Words("failed", "A person refused the order"),
    "order_held": Words("attention", "Order put on hold"),
    "order_resumed": Words("progress", "Order goes on"),
    "order_cancelling": Words("progress", "Cancellation began"),
    "order_cancelled": Words("waiting", "Order cancelled"),
    "order_cancellation_refused": Words("attention", "The order could not be cancelled"),
}


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "\N{EN DASH}"


def plain_name(name: str) -> str:
    """Return `payments.authorise_payment` as `Authorise payment`."""
    return name.rpartition(".")[2].replace("_", " ").capitalize()


def sentence_of(name: str, payload: dict[str, Any]) -> Words:
    """Return what a message says; a message that has no sentence yet is called by its name."""
    known = SENTENCES.get(name.rpartition(".")[2])
    if known is None:
        return Words("waiting", plain_name(name))
    return Words(known.tone, known.word.format_map(_Blank(payload)))


def attempts_in_words(attempts: int) -> str:
    """Return `1 attempt`, `2 attempts`."""
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


def destination_of(destination: str) -> str:
    """Return an outside system in words, as the start of a sentence."""
    return DESTINATIONS.get(destination, f"\N{LEFT DOUBLE QUOTATION MARK}{destination}\N{RIGHT DOUBLE QUOTATION MARK}")


def method_of(payment_method: str) -> str:
    """Return the payment method in words."""
    return METHODS.get(payment_method, payment_method)
