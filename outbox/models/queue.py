"""The queue, those who work on it, and what they leave behind.

message     what was said: append-only, partitioned by month of its UUIDv7
delivery    the live queue: one row per (message, consumer) that is not finished
ordering_key  the lock of what must be handled in order
receipt     what was finished: append-only, partitioned like message
attempt     every failure, with its traceback
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
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
    HELD = "held", "Held"
    """Another message of its ordering key comes first."""
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
    deliver_by = models.DateTimeField(null=True)
    """No attempt begins later than this; see engine/deadlines.py."""
    ordering_key = models.TextField(null=True)
    """What it is ordered by, with consumers that ask for order; see ordering.py."""
    place = models.BigIntegerField(null=True)
    """Its number within the ordering key, in order of publication."""
    fair_key = models.TextField(null=True)
    """For whom it is done, with consumers that are fair between keys; see outbox/fairness.py."""
    turn = models.BigIntegerField(null=True)
    """In which round of its fair key it goes: all keys' first messages, then all second ones."""
    waiting_for = models.TextField(db_default="", default="")
    attempts = models.SmallIntegerField(db_default=0, default=0)
    tried_since = models.DateTimeField(null=True)
    """When the first attempt began that was not the last; the deadline of a retry policy counts from here."""
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
            models.CheckConstraint(
                condition=models.Q(ordering_key__isnull=True, place__isnull=True) & ~models.Q(state="held")
                | models.Q(ordering_key__isnull=False, place__isnull=False),
                name="outbox_delivery_place",
            ),
            models.UniqueConstraint(
                fields=["consumer", "ordering_key", "place"],
                condition=models.Q(ordering_key__isnull=False),
                name="outbox_delivery_in_order",
            ),
        ]
        indexes = [
            models.Index(
                fields=["consumer", "priority", "id"],
                name="outbox_delivery_ready",
                condition=models.Q(state="ready"),
            ),
            models.Index(
                fields=["consumer", "priority", "turn", "id"],
                name="outbox_delivery_fair",
                condition=models.Q(state="ready", turn__isnull=False),
            ),
            models.Index(
                fields=["consumer", "fair_key", "turn"],
                name="outbox_delivery_rounds",
                condition=models.Q(fair_key__isnull=False),
            ),
            models.Index(fields=["due_at"], name="outbox_delivery_scheduled", condition=models.Q(state="scheduled")),
            models.Index(fields=["lease_until"], name="outbox_delivery_leased", condition=models.Q(state="leased")),
            models.Index(fields=["id"], name="outbox_delivery_isolated", condition=models.Q(state="isolated")),
            models.Index(fields=["died_at"], name="outbox_delivery_dead", condition=models.Q(state="dead")),
            models.Index(fields=["id"], name="outbox_delivery_parked", condition=models.Q(state="parked")),
            models.Index(
                fields=["deliver_by"],
                name="outbox_delivery_deadline",
                condition=models.Q(deliver_by__isnull=False) & ~models.Q(state__in=["leased", "dead"]),
            ),
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


class OrderingKey(models.Model):
    """The lock and the counter of one ordering key: there as long as something of the key is unfinished."""

    pk = models.CompositePrimaryKey("consumer", "key")
    consumer = models.TextField()
    key = models.TextField()
    last = models.BigIntegerField()
    """The place that was given out last."""

    class Meta:
        db_table = "outbox_ordering_key"

    def __str__(self) -> str:
        return f"{self.consumer} {self.key}"


class Receipt(models.Model):
    """A message was finished by a consumer: the inbox and the timeline."""

    pk = models.CompositePrimaryKey("message_id", "consumer")
    message_id = models.UUIDField()
    consumer = models.TextField()
    finished_at = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField()
    duration_ms = models.IntegerField()
    outcome = models.TextField(db_default="done", default="done")
    """done; or discarded or skipped by an operator, cancelled by its sender, expired at its deadline; of a message
    delivered at most once: begun, then done or failed."""

    def __str__(self) -> str:
        return f"{self.consumer} ✓ {self.message_id}"


class Attempt(models.Model):
    """One attempt that did not succeed."""

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField(db_index=True)
    consumer = models.TextField()
    number = models.SmallIntegerField()
    kind = models.TextField()
    """transient, unknown, throttled, permanent, crash, interrupted, parked or expired; of one that was given up because
    it was put off for too long: snoozed or contended."""
    error_class = models.TextField()
    error = models.TextField()
    fingerprint = models.TextField()
    traceback = models.TextField(default="")
    duration_ms = models.IntegerField(null=True)
    worker_id = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)
        indexes = [BrinIndex(fields=["at"], name="outbox_attempt_at")]  # they come in order of time

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
