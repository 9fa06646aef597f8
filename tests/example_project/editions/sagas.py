"""Sending a printed copy: put one aside, then post it; a copy that cannot be posted goes back."""

from uuid import UUID

from editions.events import (
    CopyGivenBack,
    CopyPosted,
    CopyReserved,
    GiveCopyBack,
    PostCopy,
    PostRefused,
    ReserveCopy,
    SoldOut,
)
from editions.models import Edition, PrintOrder
from outbox.models import Saga as SagaRow
from outbox.publishing import require_unit_of_work
from outbox.sagas import engine
from outbox.sagas.definition import Compensation, Data, Reply, Saga, Step


def _order(data: Data) -> UUID:
    return UUID(data["order_id"])


SEND_PRINT = Saga(
    "editions.send_print",
    version=1,
    key="order_id",
    steps=(
        Step(
            "reserve",
            label="Put a copy aside",
            awaiting="a copy",
            command=lambda data: ReserveCopy(order_id=_order(data)),
            success=Reply(CopyReserved),
            failure=Reply(SoldOut),
            compensation=Compensation(lambda data: GiveCopyBack(order_id=_order(data)), Reply(CopyGivenBack)),
            undo_on_failure=False,
        ),
        Step(
            "post",
            label="Post the copy",
            awaiting="the post",
            command=lambda data: PostCopy(order_id=_order(data)),
            success=Reply(CopyPosted),
            failure=Reply(PostRefused),
            pivot=True,
        ),
    ),
)


def note(saga: SagaRow, change: engine.Change) -> None:
    """Told of every change, in the transaction that makes it: what the reader sees is never behind."""
    if change.kind == "completed":
        PrintOrder.objects.filter(id=saga.key).update(outcome="posted")
    elif change.kind == "compensating":
        PrintOrder.objects.filter(id=saga.key).update(outcome=change.reason)


engine.register(SEND_PRINT, note, follower="editions.follow_print")


@require_unit_of_work
def order_print(edition: Edition, street: str) -> UUID:
    """Take an order: the row, the saga and its first command are committed together, or not at all."""
    order = PrintOrder.objects.create(edition=edition, street=street)
    engine.start(SEND_PRINT, key=order.id, data={"order_id": str(order.id)})
    return order.id
