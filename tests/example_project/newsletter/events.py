"""What is said here. A name is `app.what_happened` or `app.do_this`; a published version never changes."""

from uuid import UUID

from outbox.contracts import Command, Event, Semantics, contract


@contract("newsletter.subscribed", version=1, owner="newsletter", aggregate="subscriber", key="subscriber_id")
class Subscribed(Event, frozen=True, kw_only=True):
    """Somebody wants to read us."""

    subscriber_id: UUID


@contract(
    "newsletter.send_welcome",
    version=1,
    owner="newsletter",
    aggregate="subscriber",
    key="subscriber_id",
    semantics=Semantics.AT_LEAST_ONCE,  # its consumer calls someone outside
)
class SendWelcome(Command, frozen=True, kw_only=True):
    """Greet a new reader by mail."""

    subscriber_id: UUID
