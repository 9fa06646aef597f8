"""What is said about printed editions."""

from uuid import UUID

from outbox.contracts import Command, Event, contract


@contract("editions.reserve_copy", version=1, owner="editions", aggregate="print_order", key="order_id")
class ReserveCopy(Command, frozen=True, kw_only=True):
    """Put a copy aside. Answered by CopyReserved or SoldOut."""

    order_id: UUID


@contract("editions.copy_reserved", version=1, owner="editions", aggregate="print_order", key="order_id")
class CopyReserved(Event, frozen=True, kw_only=True):
    """A copy is put aside."""

    order_id: UUID


@contract("editions.sold_out", version=1, owner="editions", aggregate="print_order", key="order_id")
class SoldOut(Event, frozen=True, kw_only=True):
    """There is no copy left."""

    order_id: UUID
    code: str
    reason: str


@contract("editions.give_copy_back", version=1, owner="editions", aggregate="print_order", key="order_id")
class GiveCopyBack(Command, frozen=True, kw_only=True):
    """Put a copy back that was put aside, if one was. Answered by CopyGivenBack."""

    order_id: UUID


@contract("editions.copy_given_back", version=1, owner="editions", aggregate="print_order", key="order_id")
class CopyGivenBack(Event, frozen=True, kw_only=True):
    """No copy is put aside any more."""

    order_id: UUID


@contract("editions.post_copy", version=1, owner="editions", aggregate="print_order", key="order_id")
class PostCopy(Command, frozen=True, kw_only=True):
    """Post the copy. Answered by CopyPosted or PostRefused."""

    order_id: UUID


@contract("editions.copy_posted", version=1, owner="editions", aggregate="print_order", key="order_id")
class CopyPosted(Event, frozen=True, kw_only=True):
    """The copy is on its way."""

    order_id: UUID


@contract("editions.post_refused", version=1, owner="editions", aggregate="print_order", key="order_id")
class PostRefused(Event, frozen=True, kw_only=True):
    """The copy cannot be posted."""

    order_id: UUID
    code: str
    reason: str
