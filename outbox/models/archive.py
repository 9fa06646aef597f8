"""What stays of what is gone: dropped partitions, and receipts that a replay set aside."""

from django.db import models
from django.db.models.functions import Now


class DroppedPartition(models.Model):
    """A month of messages or receipts that retention dropped."""

    name = models.TextField(primary_key=True)
    """The table it was."""
    parent = models.TextField()
    """outbox_message or outbox_receipt."""
    begins = models.DateTimeField()
    ends = models.DateTimeField()
    """It held what was said from `begins` until before `ends`, by the times in the ids."""
    size_bytes = models.BigIntegerField()
    actor = models.TextField()
    dropped_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["parent", "ends"], name="outbox_dropped_ends")]

    def __str__(self) -> str:
        return self.name


class FormerReceipt(models.Model):
    """A receipt as it was before a replay handed its message out again."""

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField(db_index=True)
    consumer = models.TextField()
    finished_at = models.DateTimeField()
    attempts = models.SmallIntegerField()
    duration_ms = models.IntegerField()
    outcome = models.TextField()
    replay_id = models.UUIDField()
    """The replay that set it aside; its audit entry says who and why."""
    replayed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.consumer} ✓ {self.message_id}, replayed"
