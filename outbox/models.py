"""The engine's tables. Writers are the modules of this app; everything else reads.

message     what was said: append-only, partitioned by month of its UUIDv7
delivery    the live queue: one row per (message, consumer) that is not finished
receipt     what was finished: append-only, partitioned like message
attempt     every failure, with its traceback
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Message(models.Model):
    """A durable record of one event or command, with its provenance."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.TextField()
    version = models.SmallIntegerField()
    kind = models.TextField()
    aggregate = models.TextField()
    aggregate_id = models.UUIDField()
    payload = models.JSONField()
    headers = models.JSONField(default=dict)
    correlation_id = models.UUIDField()
    causation_id = models.UUIDField(null=True)
    actor = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)
        indexes = [
            models.Index(fields=["correlation_id"], name="outbox_message_correlation"),
            models.Index(fields=["aggregate_id"], name="outbox_message_aggregate"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class DeliveryState(models.TextChoices):
    READY = "ready", "Ready"
    SCHEDULED = "scheduled", "Scheduled"
    LEASED = "leased", "In a call"
    ISOLATED = "isolated", "Runs alone"
    """Its worker died: it is run alone, so that it cannot take others with it."""
    PARKED = "parked", "Parked"
    """No release that runs knows its contract or its consumer."""
    DEAD = "dead", "Dead letter"


class Delivery(models.Model):
    """One message on its way to one consumer."""

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField()
    consumer = models.TextField()
    state = models.TextField(choices=DeliveryState, default=DeliveryState.READY, db_default="ready")
    priority = models.SmallIntegerField(db_default=0, default=0)
    due_at = models.DateTimeField(null=True)
    waiting_for = models.TextField(db_default="", default="")
    attempts = models.SmallIntegerField(db_default=0, default=0)
    crashes = models.SmallIntegerField(db_default=0, default=0)
    lease_owner = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    enqueued_at = models.DateTimeField(db_default=Now())
    last_error = models.TextField(db_default="", default="")
    fingerprint = models.TextField(db_default="", default="")
    died_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["message_id", "consumer"], name="outbox_delivery_once"),
            models.CheckConstraint(condition=models.Q(state__in=DeliveryState.values), name="outbox_delivery_state"),
            models.CheckConstraint(
                condition=~models.Q(state="leased") | models.Q(lease_owner__isnull=False, lease_until__isnull=False),
                name="outbox_delivery_lease",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="scheduled") | models.Q(due_at__isnull=False), name="outbox_delivery_due"
            ),
        ]
        indexes = [
            models.Index(
                fields=["consumer", "priority", "id"],
                name="outbox_delivery_ready",
                condition=models.Q(state="ready"),
            ),
            models.Index(fields=["due_at"], name="outbox_delivery_scheduled", condition=models.Q(state="scheduled")),
            models.Index(fields=["lease_until"], name="outbox_delivery_leased", condition=models.Q(state="leased")),
            models.Index(fields=["id"], name="outbox_delivery_isolated", condition=models.Q(state="isolated")),
            models.Index(fields=["died_at"], name="outbox_delivery_dead", condition=models.Q(state="dead")),
            models.Index(fields=["id"], name="outbox_delivery_parked", condition=models.Q(state="parked")),
        ]

    def __str__(self) -> str:
        return f"{self.consumer} ← {self.message_id}"


class DeadLetter(Delivery):
    """Deliveries that were given up, as the operators' list."""

    class Meta:
        proxy = True
        permissions = [
            ("retry_deadletter", "May retry dead letters"),
            ("discard_deadletter", "May discard dead letters"),
        ]


class Receipt(models.Model):
    """A message was finished by a consumer: the inbox and the timeline."""

    pk = models.CompositePrimaryKey("message_id", "consumer")
    message_id = models.UUIDField()
    consumer = models.TextField()
    finished_at = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField()
    duration_ms = models.IntegerField()
    outcome = models.TextField(db_default="done", default="done")
    """done, or discarded by an operator."""

    def __str__(self) -> str:
        return f"{self.consumer} ✓ {self.message_id}"


class Attempt(models.Model):
    """One attempt that did not succeed."""

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField(db_index=True)
    consumer = models.TextField()
    number = models.SmallIntegerField()
    kind = models.TextField()
    """transient, unknown, throttled, permanent, crash, interrupted or parked."""
    error_class = models.TextField()
    error = models.TextField()
    fingerprint = models.TextField()
    traceback = models.TextField(default="")
    duration_ms = models.IntegerField(null=True)
    worker_id = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.consumer} attempt {self.number}: {self.error_class}"


class Worker(models.Model):
    """A worker process, alive as long as its session lock is held; and what it works on right now."""

    id = models.UUIDField(primary_key=True)
    host = models.TextField()
    pid = models.IntegerField()
    lock = models.IntegerField()
    """Second half of the key of the session lock that proves it lives."""
    release = models.TextField(db_default="", default="")
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    consumers = ArrayField(models.TextField(), db_default=[], default=list)
    """The consumers that its release knows."""
    contracts = ArrayField(models.TextField(), db_default=[], default=list)
    """The contracts that its release can read, as name/version."""
    consumer = models.TextField(db_default="", default="")
    deliveries = models.JSONField(db_default=[], default=list)
    """Ids of the deliveries in its hands: written outside the transaction, so that it survives the crash."""

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}"


class BreakerState(models.TextChoices):
    CLOSED = "closed", "Closed"
    OPEN = "open", "Open"
    HALF_OPEN = "half_open", "Half open"


class Breaker(models.Model):
    """The circuit breaker of one destination, shared by all workers."""

    destination = models.TextField(primary_key=True)
    state = models.TextField(choices=BreakerState, default=BreakerState.CLOSED, db_default="closed")
    failures = models.IntegerField(db_default=0, default=0)
    """Failures in a row since the last success."""
    openings = models.IntegerField(db_default=0, default=0)
    """Openings in a row: each doubles the wait before the next probe."""
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)
    throttled_until = models.DateTimeField(null=True)
    reason = models.TextField(db_default="", default="")
    consumers = ArrayField(models.TextField(), default=list)
    """Who waits while it is open."""
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.destination}: {self.state}"


class ConsumerControl(models.Model):
    """What operators decided about one consumer; a consumer without a row works as usual."""

    consumer = models.TextField(primary_key=True)
    paused = models.BooleanField(db_default=False, default=False)
    """Its work stays in the queue until somebody lets it go on."""
    reason = models.TextField()
    actor = models.TextField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbox_control"

    def __str__(self) -> str:
        return f"{self.consumer}: {'paused' if self.paused else 'works'}"


class SagaStatus(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    COMPENSATING = "compensating", "Compensating"
    COMPENSATED = "compensated", "Compensated"
    SUSPENDED = "suspended", "Suspended"
    FORWARD_STUCK = "forward_stuck", "Stuck going forward"
    COMPENSATION_STUCK = "compensation_stuck", "Stuck compensating"


class Saga(models.Model):
    """A long-running transaction under way, for one key of one definition."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    definition = models.TextField()
    version = models.SmallIntegerField()
    key = models.UUIDField()
    status = models.TextField(choices=SagaStatus, default=SagaStatus.RUNNING)
    position = models.SmallIntegerField(default=0)
    """Index of the step that is under way, forward or being compensated."""
    data = models.JSONField(default=dict)
    early = models.JSONField(default=list)
    """Replies that came before their step began: [name, version, payload, message id]."""
    reason_code = models.TextField(default="")
    reason = models.TextField(default="")
    correlation_id = models.UUIDField()
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    """Deadline of the step that is under way."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["definition", "key"], name="outbox_saga_once"),
            models.CheckConstraint(condition=models.Q(status__in=SagaStatus.values), name="outbox_saga_status"),
        ]
        indexes = [
            models.Index(fields=["key"], name="outbox_saga_key"),
            models.Index(
                fields=["deadline_at"],
                name="outbox_saga_deadline",
                condition=models.Q(status__in=["running", "compensating"], deadline_at__isnull=False),
            ),
            models.Index(
                fields=["status", "updated_at"],
                name="outbox_saga_open",
                condition=~models.Q(status__in=["completed", "compensated"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.definition} {self.key}"


class StepStatus(models.TextChoices):
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    COMPENSATING = "compensating", "Compensating"
    COMPENSATED = "compensated", "Compensated"
    SKIPPED = "skipped", "Skipped"
    NEEDS_ATTENTION = "needs_attention", "Needs attention"


class SagaStep(models.Model):
    """A step of a saga that has begun: the saga's timeline."""

    id = models.BigAutoField(primary_key=True)
    saga = models.ForeignKey(Saga, on_delete=models.CASCADE, related_name="steps")
    position = models.SmallIntegerField()
    name = models.TextField()
    status = models.TextField(choices=StepStatus)
    command_id = models.UUIDField(null=True)
    reply_id = models.UUIDField(null=True)
    compensation_id = models.UUIDField(null=True)
    """The command that undoes the step."""
    detail = models.TextField(default="")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    compensated_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("position",)
        constraints = [models.UniqueConstraint(fields=["saga", "position"], name="outbox_saga_step_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"


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
    """done, failed, dead, or le_N: done within N milliseconds of the message's commit."""
    value = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.minute:%H:%M} {self.consumer} {self.measure} {self.value}"
