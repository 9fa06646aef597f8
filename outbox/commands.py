"""Commands of the engine itself."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from outbox.contracts import Command, Semantics, contract


@contract(
    "outbox.serve_endpoint",
    version=1,
    owner="outbox",
    aggregate="webhook_endpoint",
    key="endpoint_id",
    semantics=Semantics.AT_LEAST_ONCE,
)
class ServeEndpoint(Command, frozen=True, kw_only=True):
    """Send a webhook endpoint what is due there; one turn. Nothing is sent when nothing is due."""

    endpoint_id: UUID


@contract("outbox.wake_endpoint", version=1, owner="outbox", aggregate="webhook_endpoint", key="endpoint_id")
class WakeEndpoint(Command, frozen=True, kw_only=True):
    """The time of a webhook endpoint has come: a retry is due there, or its pause is over."""

    endpoint_id: UUID


@contract("outbox.replay_endpoint", version=1, owner="outbox", aggregate="webhook_endpoint", key="endpoint_id")
class ReplayEndpoint(Command, frozen=True, kw_only=True):
    """Hand a webhook endpoint the events since a moment again, a portion at a time."""

    endpoint_id: UUID
    since: Annotated[datetime, Meta(tz=True)]
    after: int
    """How far it has come: the place of the last event that was handed out, 0 at the beginning."""
