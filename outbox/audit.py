"""The record of what people did: append-only, kept by the database."""

from typing import Any

from outbox.context import current
from outbox.errors import IllegalOperation
from outbox.models import AuditEntry
from outbox.publishing import require_unit_of_work


@require_unit_of_work
def record(
    action: str,
    subject: str,
    *,
    reason: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Note that the present actor did `action` to `subject` and why, in the transaction that does it."""
    context = current()
    AuditEntry.objects.create(
        actor=context.actor or "system",
        action=action,
        subject=subject,
        reason=reason,
        before=before,
        after=after,
        correlation_id=context.correlation_id,
    )


def require_reason(reason: str) -> str:
    """Return `reason` without blanks around it. Raises IllegalOperation when nothing is left."""
    if not reason.strip():
        raise IllegalOperation("Say why: a reason is required, and is kept in the audit log.")
    return reason.strip()
