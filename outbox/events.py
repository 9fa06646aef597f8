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
