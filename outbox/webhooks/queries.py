"""The statements by which deliveries to endpoints are picked and moved."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from outbox.models import WebhookDelivery

_TAKE = """
UPDATE outbox_webhookdelivery SET state = 'sending', turn = %(turn)s
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_webhookdelivery
    WHERE endpoint_id = %(endpoint)s
      AND (turn = %(turn)s AND state = 'sending' OR state = 'waiting' AND due_at <= now())
    ORDER BY due_at, rank, id LIMIT %(limit)s
)) RETURNING id
"""
_TAKE_IN_ORDER = """
UPDATE outbox_webhookdelivery SET state = 'sending', turn = %(turn)s
WHERE id = ANY(ARRAY(
    SELECT id FROM outbox_webhookdelivery d
    WHERE endpoint_id = %(endpoint)s
      AND (turn = %(turn)s AND state = 'sending' OR state = 'waiting' AND due_at <= now())
      AND NOT EXISTS (
        SELECT FROM outbox_webhookdelivery earlier
        WHERE earlier.endpoint_id = d.endpoint_id AND earlier.subject = d.subject AND d.subject <> ''
          AND earlier.rank < d.rank AND earlier.state = 'waiting' AND earlier.due_at > now())
    ORDER BY rank, id LIMIT %(limit)s
)) RETURNING id
"""
"""Behind one of the same subject that waits for its retry nothing may go; behind one of the same turn it may, as they
are sent one after the other, and the first that fails ends the turn. Ranks grow within a subject only, so that subjects
mix as they like."""
_NEXT_DUE = """
SELECT min(due_at), min(due_at) <= now() FROM outbox_webhookdelivery WHERE endpoint_id = %s AND state = 'waiting'
"""
_NEXT_DUE_IN_ORDER = """
SELECT min(due_at), min(due_at) <= now() FROM (
    SELECT DISTINCT ON (subject, CASE WHEN subject = '' THEN id END) due_at FROM outbox_webhookdelivery
    WHERE endpoint_id = %s AND state = 'waiting' ORDER BY subject, CASE WHEN subject = '' THEN id END, rank, id
) head
"""
"""Only the first of a subject may go."""
_GIVE_BACK = "UPDATE outbox_webhookdelivery SET state = 'waiting', turn = NULL WHERE id = ANY(%s)"
_HURRY = """
UPDATE outbox_webhookdelivery SET due_at = now() WHERE endpoint_id = %s AND state = 'waiting' AND due_at > now()
"""
_SETTLE = """
UPDATE outbox_webhookdelivery d SET
    state = moved.state, turn = NULL, attempts = moved.attempts,
    due_at = CASE WHEN moved.state = 'waiting' THEN now() + make_interval(secs => moved.wait) ELSE d.due_at END,
    finished_at = CASE WHEN moved.state = 'waiting' THEN NULL ELSE now() END
FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::float[]) AS moved (id, state, attempts, wait)
WHERE d.id = moved.id
"""


def take(endpoint_id: UUID, turn: UUID, limit: int, *, ordered: bool) -> list[WebhookDelivery]:
    """Take up to `limit` deliveries that are due into a turn; those that a crash left in it are in it again.

    There is one turn of an endpoint at a time (the consumer's ordering key), so nobody else takes them.
    """
    with connection.cursor() as cursor:
        parameters: dict[str, Any] = {"endpoint": endpoint_id, "turn": turn, "limit": limit}
        cursor.execute(_TAKE_IN_ORDER if ordered else _TAKE, parameters)
        ids = [row[0] for row in cursor.fetchall()]
    order = ("rank", "id") if ordered else ("due_at", "rank", "id")
    return list(WebhookDelivery.objects.filter(id__in=ids).order_by(*order)) if ids else []


def give_back(delivery_ids: Sequence[UUID]) -> None:
    """Let deliveries of a turn wait again that were not tried."""
    if delivery_ids:
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_BACK, [list(delivery_ids)])


def settle(moved: Sequence[tuple[UUID, str, int, float]]) -> None:
    """Write what became of deliveries: (id, state, failed attempts, seconds until the next)."""
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(_SETTLE, [list(column) for column in zip(*moved, strict=True)])


def next_due(endpoint_id: UUID, *, ordered: bool) -> tuple[datetime | None, bool]:
    """Return when the next delivery of an endpoint may go, None for never, and whether that is now."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_DUE_IN_ORDER if ordered else _NEXT_DUE, [endpoint_id])
        moment, now = cursor.fetchone()
    return moment, bool(now)


def hurry(endpoint_id: UUID) -> None:
    """Let everything that waits for a retry at an endpoint go at once."""
    with connection.cursor() as cursor:
        cursor.execute(_HURRY, [endpoint_id])
