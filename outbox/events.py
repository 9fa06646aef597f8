"""Events of the engine itself. Nobody has to consume them; whoever cares subscribes."""

from uuid import UUID

from outbox.contracts import Event, contract


@contract(
    "outbox.breaker_changed",
    version=1,
    owner="outbox",
    aggregate="destination",
    key="destination_id",
    needs_consumer=False,
)
class BreakerChanged(Event, frozen=True, kw_only=True):
    """The circuit breaker of a destination changed its state."""

    destination_id: UUID
    """Made from the name, so that it is the same everywhere."""
    destination: str
    from_state: str
    to_state: str
    reason: str
    actor: str
    """The operator who decided it; empty where the engine did."""


@contract(
    "outbox.webhook_endpoint_changed",
    version=1,
    owner="outbox",
    aggregate="webhook_endpoint",
    key="endpoint_id",
    needs_consumer=False,
)
class WebhookEndpointChanged(Event, frozen=True, kw_only=True):
    """A webhook endpoint was enabled or disabled, by a person or because of how it answers."""

    endpoint_id: UUID
    owner_id: UUID
    """Whose endpoint it is."""
    enabled: bool
    reason: str
    """Why it is disabled: owner, staff, failing or gone; empty for enabled."""
    actor: str
