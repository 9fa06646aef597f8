"""Goods that come back: the wish, the decision, the arrival, the inspection, the end.

Everything of one order happens under its consignment's lock, so that two returns never both get the last piece. Money
is the business of others: a return that was inspected waits here until its refund is granted and made.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from django.db.models import F

from fulfillment.errors import Excess, NotReturnable, UnknownReturn, UnknownWarehouse, WrongFindings
from fulfillment.events import (
    ReturnApproved,
    ReturnClosed,
    ReturnInspected,
    ReturnReceived,
    ReturnRejected,
    ReturnRequested,
)
from fulfillment.models import Consignment, Return, ReturnLine, StockItem, StockMovement, Warehouse
from fulfillment.selectors import Sent, sent_and_back
from fulfillment.services.backorders import hand_out
from fulfillment.services.shelves import lock_products, take_turns
from fulfillment.states import ConsignmentStatus, MovementKind, ReturnStatus
from fulfillment.values import Finding, ReturnWish
from outbox.context import current
from outbox.publishing import publish, require_unit_of_work

NOTHING_TO_REFUND = "None of the goods could be taken back."


@require_unit_of_work
def request_return(*, order_id: UUID, wishes: Sequence[ReturnWish]) -> UUID:
    """Note what a customer wants to send back, each product once; return the return's id.

    In time, it is approved at once; later than RETURN_DAYS after the delivery a person decides. Raises NotReturnable.
    """
    Consignment.locked(order_id)
    sent = sent_and_back(order_id)
    _check(wishes, sent)
    late = any(sent[wish.sku].late for wish in wishes)
    row = Return.objects.create(consignment_id=order_id, late=late)
    ReturnLine.objects.bulk_create(
        [
            ReturnLine(
                return_of=row,
                line_id=sent[wish.sku].line_id,
                sku=wish.sku,
                quantity=wish.quantity,
                reason=wish.reason,
            )
            for wish in wishes
        ]
    )
    publish(ReturnRequested(return_id=row.id, order_id=order_id, pieces=sum(wish.quantity for wish in wishes)))
    if not late:
        _approve(row)
    return row.id


def _check(wishes: Sequence[ReturnWish], sent: dict[str, Sent]) -> None:
    left = {wish.sku: sent[wish.sku].returnable if wish.sku in sent else 0 for wish in wishes}
    excesses = [Excess(wish.sku, wish.quantity, left[wish.sku]) for wish in wishes if wish.quantity > left[wish.sku]]
    if excesses:
        raise NotReturnable(excesses)


def _locked(return_id: UUID) -> Return:
    order_id = Return.objects.filter(id=return_id).values_list("consignment_id", flat=True).first()
    if order_id is None:
        raise UnknownReturn(f"There is no return {return_id}.")
    Consignment.locked(order_id)
    return Return.objects.get(id=return_id)


def _approve(row: Return) -> None:
    row.advance(ReturnStatus.APPROVED)
    publish(ReturnApproved(return_id=row.id, order_id=row.order_id))


@require_unit_of_work
def approve_return(*, return_id: UUID) -> None:
    """Let the customer send the goods. Raises UnknownReturn, IllegalTransition."""
    _approve(_locked(return_id))


@require_unit_of_work
def reject_return(*, return_id: UUID, code: str, reason: str) -> None:
    """End a return without a refund; `reason` is shown to the customer. One that has ended so is left as it is.

    Raises UnknownReturn, IllegalTransition.
    """
    row = _locked(return_id)
    if row.status != ReturnStatus.REJECTED:
        _reject(row, code, reason)


def _reject(row: Return, code: str, reason: str) -> None:
    row.advance(ReturnStatus.REJECTED, reason_code=code, reason=reason)
    publish(ReturnRejected(return_id=row.id, order_id=row.order_id, code=code, reason=reason))


@require_unit_of_work
def receive_return(*, return_id: UUID, warehouse: str) -> None:
    """Note that the goods are in a warehouse. Raises UnknownReturn, UnknownWarehouse, IllegalTransition."""
    row = _locked(return_id)
    codes = list(Warehouse.objects.values_list("code", flat=True))
    if warehouse not in codes:
        raise UnknownWarehouse(warehouse, codes)
    row.advance(ReturnStatus.RECEIVED, warehouse_id=warehouse)
    publish(ReturnReceived(return_id=row.id, order_id=row.order_id, warehouse=warehouse))


@require_unit_of_work
def inspect_return(*, return_id: UUID, findings: Sequence[Finding]) -> None:
    """Write down what the inspection found: sellable pieces go back onto the shelf, damaged ones do not.

    With nothing to take back the return is rejected. Raises UnknownReturn, WrongFindings, IllegalTransition.
    """
    row = _locked(return_id)
    row.machine.check(row.status, ReturnStatus.INSPECTED)
    lines = {line.sku: line for line in row.lines.all()}
    _check_findings(findings, lines)
    for finding in findings:
        line = lines[finding.sku]
        refused = line.quantity - finding.sellable - finding.damaged
        line.note(sellable=finding.sellable, damaged=finding.damaged, refused=refused)
    accepted = sum(line.accepted for line in lines.values())
    if not accepted:
        _reject(row, "nothing_to_refund", NOTHING_TO_REFUND)
        return
    row.advance(ReturnStatus.INSPECTED)
    _restock(row, Counter({line.sku: line.sellable or 0 for line in lines.values() if line.sellable}))
    left = any(each.back < each.sent for each in sent_and_back(row.order_id).values())
    whole = row.consignment.status == ConsignmentStatus.SHIPPED and not left
    publish(ReturnInspected(return_id=row.id, order_id=row.order_id, accepted=accepted, whole=whole))


def _check_findings(findings: Sequence[Finding], lines: dict[str, ReturnLine]) -> None:
    if sorted(finding.sku for finding in findings) != sorted(lines):
        raise WrongFindings("Say of each product of the return what was found, once.")
    for finding in findings:
        quantity, found = lines[finding.sku].quantity, finding.sellable + finding.damaged
        if min(finding.sellable, finding.damaged) < 0 or found > quantity:
            raise WrongFindings(f"Of {finding.sku} {quantity} were announced; {found} cannot be taken back.")


def _restock(row: Return, pieces: Counter[str]) -> None:
    """Put pieces on the shelf that the goods arrived at, and let those who wait for them have them first."""
    if not pieces:
        return
    take_turns(pieces)
    assert row.warehouse_id is not None  # kept by the database for what was received
    missing = [StockItem(sku=sku, warehouse_id=row.warehouse_id) for sku in sorted(pieces)]
    StockItem.objects.bulk_create(missing, ignore_conflicts=True)
    for item in lock_products(pieces):
        if item.warehouse_id == row.warehouse_id:
            item.note(on_hand=F("on_hand") + pieces[item.sku])
            StockMovement.objects.create(
                sku=item.sku,
                warehouse_id=item.warehouse_id,
                delta=pieces[item.sku],
                kind=MovementKind.RETURN,
                order_id=row.order_id,
                return_id=row.id,
                actor=current().actor,
            )
    hand_out(pieces)


@require_unit_of_work
def note_refund_granted(*, return_id: UUID) -> None:
    """The refund's amount is set aside. Raises UnknownReturn, IllegalTransition."""
    _locked(return_id).advance(ReturnStatus.REFUND_GRANTED)


@require_unit_of_work
def close_return(*, return_id: UUID) -> None:
    """The refund is made. Raises UnknownReturn, IllegalTransition."""
    row = _locked(return_id)
    row.advance(ReturnStatus.CLOSED)
    publish(ReturnClosed(return_id=row.id, order_id=row.order_id))
