from django.db import models


class Effect(models.Model):
    """One row per effect: counting them shows what was done twice or not at all."""

    message_id = models.UUIDField()
    label = models.TextField()
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.label} {self.number}"


class Outside(models.Model):
    """What the outside world was told, with the idempotency key it was told with."""

    key = models.TextField()
    number = models.IntegerField()

    def __str__(self) -> str:
        return self.key
