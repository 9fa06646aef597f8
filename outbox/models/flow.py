"""The tables that control the flow: who may be called how hard, who is paused."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class BreakerState(models.TextChoices):
    CLOSED = "closed", "Closed"
    OPEN = "open", "Open"
    HALF_OPEN = "half_open", "Half open"


class Limited(models.Model):
    """What operators set instead of the declared limits, and how much of a rate is left at the moment."""

    limit_concurrency = models.IntegerField(null=True)
    """Calls or batches at once, over all workers, instead of what is declared."""
    limit_per_second = models.FloatField(null=True)
    """Calls or messages per second, over all workers, instead of what is declared."""
    limit_until = models.DateTimeField(null=True)
    """When the declared limits hold again; empty means until an operator lifts these."""
    limit_reason = models.TextField(db_default="", default="")
    limit_actor = models.TextField(db_default="", default="")
    tokens = models.FloatField(null=True)
    """What was left of the rate at `reckoned_at`; empty means all of it."""
    reckoned_at = models.DateTimeField(null=True)
    limited_at = models.DateTimeField(null=True)
    """When work last had to wait for a limit."""

    class Meta:
        abstract = True


class Breaker(Limited):
    """One destination as all workers share it: its circuit breaker, and what is in use of its limits."""

    destination = models.TextField(primary_key=True)
    state = models.TextField(choices=BreakerState, default=BreakerState.CLOSED, db_default="closed")
    failures = models.IntegerField(db_default=0, default=0)
    """Failures in a row since the last success."""
    openings = models.IntegerField(db_default=0, default=0)
    """Openings in a row: each doubles the wait before the next probe."""
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)
    throttled_until = models.DateTimeField(null=True)
    pinned = models.BooleanField(db_default=False, default=False)
    """An operator decided: an open one stays open, a closed one closed, until `pinned_until` or for good."""
    pinned_until = models.DateTimeField(null=True)
    reason = models.TextField(db_default="", default="")
    consumers = ArrayField(models.TextField(), default=list)
    """Who waits while it is open."""
    changed_at = models.DateTimeField(db_default=Now())
    held = models.JSONField(db_default={}, default=dict)
    """Calls in flight: worker → consumer → number. Those of workers that are gone do not count."""
    recent_calls = models.FloatField(db_default=0.0, default=0.0)
    """Calls of late, fading with the window of the retry budget."""
    recent_retries = models.FloatField(db_default=0.0, default=0.0)
    """Those of them that were repetitions."""

    class Meta:
        permissions = [("operate_breaker", "May open, close and throttle destinations")]

    def __str__(self) -> str:
        return f"{self.destination}: {self.state}"


class BreakerChange(models.Model):
    """A breaker changed its state. The database refuses to change or delete it."""

    id = models.BigAutoField(primary_key=True)
    destination = models.TextField()
    at = models.DateTimeField(db_default=Now())
    from_state = models.TextField(choices=BreakerState)
    to_state = models.TextField(choices=BreakerState)
    reason = models.TextField()
    actor = models.TextField(db_default="", default="")
    """The operator who decided it; empty where the engine did."""
    until = models.DateTimeField(null=True)
    """How long the operator's decision holds."""

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=["destination", "id"], name="outbox_breaker_history")]

    def __str__(self) -> str:
        return f"{self.destination}: {self.from_state} → {self.to_state}"


class ConsumerControl(Limited):
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
