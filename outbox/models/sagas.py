"""Sagas and their steps."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


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
