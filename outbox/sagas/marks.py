"""Whether the sagas of a key are where they were: what their progress is made of, as one short text."""

from outbox.models import SagaStatus
from outbox.sagas.progress import LATE_SECONDS

_FINISHED = f"('{SagaStatus.COMPLETED}', '{SagaStatus.COMPENSATED}')"
_COMMANDS = f"""
SELECT string_agg(concat_ws(',', delivery.xmin, delivery.ctid, breaker.destination, breaker.state, breaker.changed_at,
                            breaker.open_until, breaker.throttled_until,
                            delivery.enqueued_at < now() - interval '{LATE_SECONDS} seconds'), ' '
                  ORDER BY delivery.id)
FROM outbox_message AS message JOIN outbox_delivery AS delivery ON delivery.message_id = message.id
LEFT JOIN outbox_breaker AS breaker ON delivery.consumer = ANY(breaker.consumers)
      AND (breaker.state <> 'closed' OR breaker.throttled_until > now())
WHERE message.correlation_id = saga.correlation_id AND message.headers ->> 'saga' = saga.id::text
  AND message.kind = 'command'
"""  # noqa: S608 - a number of ours
_STEPS = "SELECT string_agg(step.xmin || ' ' || step.ctid, ',' ORDER BY step.position) FROM outbox_sagastep AS step"


def mark_of_sagas(key: str) -> str:
    """Return the SQL of a text that changes whenever the progress of the sagas of `key`, an SQL expression, does.

    `xmin` and `ctid` together are others after every change of a row. What only time brings about (a throttle that
    ends, work that is late) stands in it as it is now.
    """
    return f"""(
SELECT string_agg(concat_ws('/', saga.xmin, saga.ctid, ({_STEPS} WHERE step.saga_id = saga.id),
                            CASE WHEN saga.status NOT IN {_FINISHED} THEN ({_COMMANDS}) END), ';' ORDER BY saga.id)
FROM outbox_saga AS saga WHERE saga.key = {key})"""  # noqa: S608 - an expression of ours
