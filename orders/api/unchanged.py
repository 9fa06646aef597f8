"""Telling a caller who has an order already that it has not changed, by one statement instead of reading it all.

An ETag is a hash of everything that is shown. What was shown is remembered, in this process, with a mark of the rows it
was made from: as long as the mark is the same, so is the ETag.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import connection
from django.http import HttpResponse
from rest_framework.request import Request

from orders.api.door import caller_of, order_id_of
from orders.api.versioning import version_of
from orders.states import FulfillmentStatus
from outbox.sagas.marks import mark_of_sagas

MOST_REMEMBERED = 10_000

# An order that waits for stock is not marked: what it waits for is written elsewhere.
_MARK = f"""
SELECT concat_ws('|', customer_order.xmin, customer_order.ctid, {mark_of_sagas("customer_order.id")})
FROM orders_order AS customer_order
WHERE id = %s AND customer_id = %s AND fulfillment_status <> '{FulfillmentStatus.BACKORDERED}'
"""  # noqa: S608 - constants of ours
_known: dict[tuple[object, ...], tuple[str, str]] = {}
"""What a caller said it had: the mark of the rows when that was so, and the ETag."""


def unless_unchanged(request: Request, order_id: str, show: Callable[[], HttpResponse]) -> HttpResponse:
    """Answer 304 where the caller has what is there; else `show` it. Raises what `show` raises."""
    has = request.headers.get("If-None-Match")
    if has is None:
        return show()
    caller = caller_of(request)
    mark = _mark_of(order_id_of(order_id), caller.customer_id)
    asked = (caller.customer_id, request.build_absolute_uri(), version_of(request), has)
    known = _known.get(asked)
    if known and mark == known[0]:
        return HttpResponse(status=304, headers={"ETag": known[1], "Cache-Control": "private, no-cache"})
    answer = show()
    if mark and answer.status_code == 304:
        # The mark was taken before what is shown was read: if it moved in between, the next look reads again.
        if len(_known) >= MOST_REMEMBERED:
            _known.clear()
        _known[asked] = (mark, answer["ETag"])
    return answer


def _mark_of(order_id: UUID, customer_id: UUID) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [order_id, customer_id])
        found = cursor.fetchone()
    return found[0] if found else None
