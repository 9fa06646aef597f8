from django.db.models import F

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
from editions.sagas import SEND_PRINT
from outbox.consumers import Incoming, consumer
from outbox.contracts import Event
from outbox.publishing import publish
from outbox.sagas import engine


@consumer(ReserveCopy, name="editions.reserve_copy")
def reserve(command: ReserveCopy, message: Incoming) -> None:
    order = PrintOrder.objects.get(id=command.order_id)
    taken = Edition.objects.filter(number=order.edition_id, copies__gt=0).update(copies=F("copies") - 1)
    if not taken:
        publish(SoldOut(order_id=order.id, code="sold_out", reason="There is no copy left"))
        return
    PrintOrder.objects.filter(id=order.id).update(has_copy=True)
    publish(CopyReserved(order_id=order.id))


@consumer(GiveCopyBack, name="editions.give_copy_back")
def give_back(command: GiveCopyBack, message: Incoming) -> None:
    """Tolerates that no copy was put aside, as every compensation must."""
    order = PrintOrder.objects.get(id=command.order_id)
    if PrintOrder.objects.filter(id=order.id, has_copy=True).update(has_copy=False):
        Edition.objects.filter(number=order.edition_id).update(copies=F("copies") + 1)
    publish(CopyGivenBack(order_id=order.id))


@consumer(PostCopy, name="editions.post_copy")
def post(command: PostCopy, message: Incoming) -> None:
    if PrintOrder.objects.get(id=command.order_id).street:
        publish(CopyPosted(order_id=command.order_id))
    else:
        publish(PostRefused(order_id=command.order_id, code="no_street", reason="We do not know the street"))


@consumer(CopyReserved, SoldOut, CopyGivenBack, CopyPosted, PostRefused, name="editions.follow_print")
def follow(event: Event, message: Incoming) -> None:
    """Brings the saga its replies."""
    engine.handle(SEND_PRINT.name, event, message)
