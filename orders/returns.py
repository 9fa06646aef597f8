"""Sending goods back: what customers ask for, and what staff decide about it.

A decision is made of the goods at once; the saga hears of it by its event. Until then the saga's step gets its whole
time anew, so that no deadline passes between the decision and its news.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from fulfillment import facade as fulfillment
from fulfillment.errors import NotReturnable
from fulfillment.facade import Finding, ReturnView, ReturnWish
from orders import lifecycle, process
from orders.errors import FieldError, NotFound, ValidationFailed
from orders.models import Order
from orders.public_ids import ORDER, RETURN, public_id
from orders.requests import RequestReturn
from orders.sagas import RETURN_ORDER
from outbox import audit
from outbox.publishing import require_unit_of_work
from outbox.sagas import engine


@require_unit_of_work
def request_return(*, within: QuerySet[Order], order_id: UUID, request: RequestReturn) -> ReturnView:
    """Note what a customer of `within`'s orders wants to send back, and start its saga.

    Raises NotFound, ValidationFailed.
    """
    order = within.prefetch_related("lines").filter(id=order_id).first()
    if order is None:
        raise NotFound("There is no such order.")
    _check(order, request)
    wishes = [ReturnWish(sku=line.sku, quantity=line.quantity, reason=line.reason) for line in request.lines]
    try:
        returned = fulfillment.request_return(order_id=order.id, wishes=wishes)
    except NotReturnable as error:
        raise ValidationFailed(_faults(error, request)) from error
    process.start_return(order, returned.id)
    return returned


def _check(order: Order, request: RequestReturn) -> None:
    ordered = {line.sku for line in order.lines.all()}
    errors, seen = [], set[str]()
    for index, line in enumerate(request.lines):
        pointer = f"/lines/{index}/sku"
        if line.sku in seen:
            detail = f"{line.sku} has a line already. Send one line with the whole quantity."
            errors.append(FieldError(pointer, "duplicate_sku", detail))
        elif line.sku not in ordered:
            errors.append(FieldError(pointer, "not_in_order", f"The order has no line of {line.sku}."))
        seen.add(line.sku)
    if errors:
        raise ValidationFailed(errors)


def _faults(error: NotReturnable, request: RequestReturn) -> list[FieldError]:
    place = {line.sku: index for index, line in enumerate(request.lines)}
    return [
        FieldError(
            f"/lines/{place[excess.sku]}/quantity",
            "not_returnable",
            f"Of {excess.sku}, {excess.returnable} can be returned: what was sent to you and is not in a return yet.",
        )
        for excess in error.excesses
    ]


@require_unit_of_work
def decide_return(*, returned: ReturnView, approved: bool, reason: str) -> None:
    """Let a customer send the goods, or end the return; `reason` is for the customer when it ends.

    Raises fulfillment.errors.UnknownReturn, IllegalTransition.
    """
    _begin(returned, "decide_return", reason, {"approved": approved})
    if approved:
        fulfillment.approve_return(return_id=returned.id)
    else:
        fulfillment.reject_return(return_id=returned.id, code="return_refused", reason=reason)
    engine.renew_deadline(RETURN_ORDER.name, returned.id)


@require_unit_of_work
def receive_return(*, returned: ReturnView, warehouse: str) -> None:
    """Note that the goods arrived at a warehouse.

    Raises fulfillment.errors.UnknownReturn, UnknownWarehouse, IllegalTransition.
    """
    _begin(returned, "receive_return", "The goods arrived.", {"warehouse": warehouse})
    fulfillment.receive_return(return_id=returned.id, warehouse=warehouse)
    engine.renew_deadline(RETURN_ORDER.name, returned.id)


@require_unit_of_work
def inspect_return(*, returned: ReturnView, findings: Sequence[Finding]) -> None:
    """Write down what the inspection found; the refund follows by itself.

    Raises fulfillment.errors.UnknownReturn, WrongFindings, IllegalTransition.
    """
    found = {finding.sku: {"sellable": finding.sellable, "damaged": finding.damaged} for finding in findings}
    _begin(returned, "inspect_return", "The goods were inspected.", found)
    fulfillment.inspect_return(return_id=returned.id, findings=findings)
    engine.renew_deadline(RETURN_ORDER.name, returned.id)


def _begin(returned: ReturnView, action: str, reason: str, after: dict[str, Any]) -> None:
    """Lock the order, which comes first in the order of locks, and note who does what."""
    lifecycle.lock_order(returned.order_id)
    name = public_id(RETURN, returned.id)
    audit.record(
        action,
        public_id(ORDER, returned.order_id),
        reason=reason,
        before={"return": name, "status": returned.status},
        after=after,
    )
