"""Endpoints that owners named, what is to be sent there, and every attempt at it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class DisabledReason(models.TextChoices):
    OWNER = "owner", "Disabled by its owner"
    STAFF = "staff", "Disabled by staff"
    FAILING = "failing", "Disabled because every delivery failed"
    """It is tried now and then, and enabled again when it answers."""
    GONE = "gone", "Disabled because it answered 410 Gone"


class WebhookEndpoint(models.Model):
    """Where an owner wants to be told what happens, and how that goes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner_id = models.UUIDField()
    """Whose it is; the upper app knows who that is."""
    url = models.TextField()
    description = models.TextField(db_default="", default="")
    events = ArrayField(models.TextField())
    """The types that are sent; `*` for all."""
    ordered = models.BooleanField(db_default=False, default=False)
    """Events about one subject are sent one after the other, in their order."""
    secret = models.BinaryField()
    """The signing secret, sealed (outbox/sealing.py)."""
    former_secret = models.BinaryField(null=True)
    """The secret before, sealed."""
    former_until = models.DateTimeField(null=True)
    """How long it is signed with the former secret, too."""
    enabled = models.BooleanField(db_default=True, default=True)
    disabled_reason = models.TextField(choices=DisabledReason, db_default="", default="", blank=True)
    disabled_at = models.DateTimeField(null=True)
    version = models.IntegerField(db_default=1, default=1)
    """Grows with each change that a person makes."""
    created_at = models.DateTimeField(db_default=Now())
    offers_since = models.DateTimeField(db_default=Now())
    """Since when it is offered the events that it chooses now."""
    deleted_at = models.DateTimeField(null=True)
    failures = models.IntegerField(db_default=0, default=0)
    """Failed calls in a row."""
    failing_since = models.DateTimeField(null=True)
    openings = models.IntegerField(db_default=0, default=0)
    """Pauses in a row: each doubles the next."""
    open_until = models.DateTimeField(null=True)
    """Nothing is sent before then."""
    alarm_at = models.DateTimeField(null=True)
    """When it will be woken."""
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    last_error = models.TextField(db_default="", default="")

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=["owner_id", "id"], name="outbox_endpoint_of_owner"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(enabled=True, disabled_reason="")
                | models.Q(enabled=False) & ~models.Q(disabled_reason=""),
                name="outbox_endpoint_disabled_why",
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Being sent"
    SUCCEEDED = "succeeded", "Delivered"
    FAILED = "failed", "Given up"
    DISCARDED = "discarded", "Discarded"
    """Its endpoint or its event is gone."""


class WebhookCause(models.TextChoices):
    EVENT = "event", "It happened"
    TEST = "test", "A test"
    REDELIVERY = "redelivery", "Asked for again"
    REPLAY = "replay", "A replay"


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint, and what became of it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="deliveries"
    )
    event_id = models.UUIDField()
    event_type = models.TextField()
    subject = models.TextField(db_default="", default="")
    """What the event is about; empty for a test."""
    rank = models.BigIntegerField(db_default=0, default=0)
    """The event's place within its subject."""
    cause = models.TextField(choices=WebhookCause)
    body = models.TextField(null=True)
    """What a test sends; events are read where they are kept."""
    state = models.TextField(choices=WebhookState, default=WebhookState.WAITING, db_default="waiting")
    due_at = models.DateTimeField(db_default=Now())
    """When it may be sent."""
    turn = models.UUIDField(null=True)
    """The message in whose handling it is being sent."""
    attempts = models.SmallIntegerField(db_default=0, default=0)
    """Failed attempts that count."""
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["endpoint", "id"], name="outbox_webhook_log"),
            models.Index(fields=["event_id"], name="outbox_webhook_event"),
            models.Index(
                fields=["endpoint", "due_at", "id"], name="outbox_webhook_waiting", condition=models.Q(state="waiting")
            ),
            models.Index(
                fields=["endpoint", "subject", "rank"],
                name="outbox_webhook_in_order",
                condition=models.Q(state__in=["waiting", "sending"]),
            ),
            models.Index(fields=["finished_at"], name="outbox_webhook_finished"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "event_id"], name="outbox_webhook_once", condition=models.Q(cause="event")
            ),
            models.CheckConstraint(condition=models.Q(state__in=WebhookState.values), name="outbox_webhook_state"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.endpoint_id}"


class WebhookAttempt(models.Model):
    """One call of an endpoint, and what it answered."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.CASCADE, db_constraint=False, related_name="attempt_log"
    )
    number = models.SmallIntegerField()
    """Counts from 1."""
    at = models.DateTimeField()
    duration_ms = models.IntegerField()
    status = models.SmallIntegerField(null=True)
    """Of the answer; null when none came."""
    error = models.TextField(db_default="", default="")
    """Why it does not count as delivered; empty when it does."""
    answer = models.TextField(db_default="", default="")
    """The first 4 KiB of the answer's body."""

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.number}: {self.status or self.error}"
