"""What happened, who did it, what was answered, and the figures."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Transition(models.Model):
    """A state machine took a step; written by a trigger (outbox/triggers.py), never by hand."""

    id = models.BigAutoField(primary_key=True)
    machine = models.TextField()
    entity_id = models.UUIDField()
    seq = models.IntegerField()
    from_state = models.TextField()
    to_state = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("id",)
        constraints = [models.UniqueConstraint(fields=["machine", "entity_id", "seq"], name="outbox_transition_once")]

    def __str__(self) -> str:
        return f"{self.machine}: {self.from_state} → {self.to_state}"


class AuditEntry(models.Model):
    """What a person did, and why. The database refuses to change or delete it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(db_default=Now())
    actor = models.TextField()
    action = models.TextField()
    subject = models.TextField()
    reason = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    correlation_id = models.UUIDField(null=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ("-id",)
        indexes = [models.Index(fields=["subject"], name="outbox_audit_subject")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.subject}"


class IdempotencyRecord(models.Model):
    """The answer that was given for an idempotency key."""

    id = models.BigAutoField(primary_key=True)
    scope = models.TextField()
    key = models.TextField()
    request_hash = models.TextField()
    response_status = models.SmallIntegerField()
    response_headers = models.JSONField(default=dict)
    response_body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="outbox_idempotency_once")]
        indexes = [models.Index(fields=["expires_at"], name="outbox_idempotency_expiry")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class Rollup(models.Model):
    """Counters per minute and consumer: what the dashboards read instead of counting rows."""

    pk = models.CompositePrimaryKey("minute", "consumer", "measure")
    minute = models.DateTimeField()
    consumer = models.TextField()
    measure = models.TextField()
    """done, failed, dead, or le_N: done within N milliseconds of the message's commit. depth_STATE: unfinished ones as
    last counted, while the queue was long; depth_since (the oldest that could run) and depth_counted are moments in
    milliseconds since 1970."""
    value = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.minute:%H:%M} {self.consumer} {self.measure} {self.value}"
