"""Limits in operators' hands: what holds instead of the declared ones, for a time or until it is lifted.

A destination's limits are read by its gate (outbox/gates.py) with each question, so that a change holds at once; a
consumer's are remembered by workers for a moment (outbox/control.py). Both rows count what is left of a rate.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from outbox import audit, doorbell
from outbox.consumers import all_consumers, find
from outbox.context import current
from outbox.errors import IllegalOperation
from outbox.publishing import open_unit, require_unit_of_work

_SET_DESTINATION = """
UPDATE outbox_breaker SET
    limit_concurrency = %(concurrency)s, limit_per_second = %(per_second)s, tokens = NULL,
    limit_until = now() + make_interval(secs => %(seconds)s::float),
    limit_reason = %(reason)s, limit_actor = %(actor)s
WHERE destination = %(name)s RETURNING consumers
"""
_SET_CONSUMER = """
INSERT INTO outbox_control AS control (
    consumer, reason, actor, limit_concurrency, limit_per_second, limit_until, limit_reason, limit_actor
) VALUES (
    %(name)s, '', '', %(concurrency)s, %(per_second)s, now() + make_interval(secs => %(seconds)s::float),
    %(reason)s, %(actor)s
)
ON CONFLICT (consumer) DO UPDATE SET
    limit_concurrency = excluded.limit_concurrency, limit_per_second = excluded.limit_per_second, tokens = NULL,
    limit_until = excluded.limit_until, limit_reason = excluded.limit_reason, limit_actor = excluded.limit_actor
"""
_FORMER = {
    "destination": "SELECT limit_concurrency, limit_per_second FROM outbox_breaker WHERE destination = %s FOR UPDATE",
    "consumer": "SELECT limit_concurrency, limit_per_second FROM outbox_control WHERE consumer = %s FOR UPDATE",
}


@dataclass(frozen=True, slots=True)
class Throttle:
    """What shall hold over all workers together; None leaves what is declared."""

    concurrency: int | None = None
    """Calls in flight; of a consumer of our own database: batches under way."""
    per_second: float | None = None
    """Calls begun, or messages handled, per second."""
    lasting: timedelta | None = None
    """None: until it is lifted."""

    def check(self) -> None:
        """Raise IllegalOperation when it limits nothing, or would let nothing pass."""
        given = [value for value in (self.concurrency, self.per_second) if value is not None]
        if not given:
            raise IllegalOperation("Say what holds: how many at once, how many per second, or both.")
        if min(given) <= 0:
            raise IllegalOperation(
                "A limit is above zero. To let nothing pass, pause the consumer or open the breaker."
            )
        if self.lasting is not None and self.lasting <= timedelta(0):
            raise IllegalOperation("A throttle lasts for more than no time.")


LIFTED = Throttle()


@require_unit_of_work
def throttle_destination(name: str, throttle: Throttle, reason: str) -> None:
    """Let other limits hold for the calls to a destination. Raises IllegalOperation, also for an unknown name."""
    throttle.check()
    _change("destination", name, throttle, reason)


@require_unit_of_work
def throttle_consumer(name: str, throttle: Throttle, reason: str) -> None:
    """Let other limits hold for a consumer. Raises IllegalOperation, also for an unknown name."""
    throttle.check()
    _change("consumer", name, throttle, reason)


@require_unit_of_work
def lift_destination(name: str, reason: str) -> None:
    """Let a destination's declared limits hold again. Raises IllegalOperation when no others do."""
    _change("destination", name, LIFTED, reason)


@require_unit_of_work
def lift_consumer(name: str, reason: str) -> None:
    """Let a consumer's declared limits hold again. Raises IllegalOperation when no others do."""
    _change("consumer", name, LIFTED, reason)


def _change(kind: str, name: str, throttle: Throttle, reason: str) -> None:
    reason = audit.require_reason(reason)
    lifts = throttle is LIFTED
    before = _former(kind, name)
    if kind == "consumer" and find(name) is None:
        raise IllegalOperation(
            f"No consumer is called {name!r}. There are: {', '.join(c.name for c in all_consumers())}."
        )
    if lifts and not any(before.values()):
        raise IllegalOperation(f"Nobody throttles {name!r}.")
    parameters = {
        "name": name,
        "concurrency": throttle.concurrency,
        "per_second": throttle.per_second,
        "seconds": throttle.lasting.total_seconds() if throttle.lasting else None,
        "reason": "" if lifts else reason,
        "actor": "" if lifts else current().actor or "system",
    }
    _write(kind, name, parameters)
    after = {key: parameters[key] for key in ("concurrency", "per_second", "seconds")}
    verb = "lift_throttle" if lifts else "throttle"
    audit.record(f"outbox.{verb}", f"{kind}:{name}", reason=reason, before=before, after=after)


def _former(kind: str, name: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(_FORMER[kind], (name,))
        row = cursor.fetchone() or (None, None)
    return {"concurrency": row[0], "per_second": row[1]}


def _write(kind: str, name: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET_DESTINATION if kind == "destination" else _SET_CONSUMER, parameters)
        rows = cursor.fetchall() if kind == "destination" else [([name],)]
    if not rows:
        raise IllegalOperation(f"No destination is called {name!r}.")
    open_unit().rings.update((doorbell.WORK, consumer) for consumer in (*rows[0][0], doorbell.LOOK))
