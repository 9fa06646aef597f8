from django.db import models


class Item(models.Model):
    """What the handler of the drain updates: one row per message."""

    touched = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.touched}"


class Pickup(models.Model):
    """When a handler began: seconds since the epoch, by this machine's clock."""

    number = models.IntegerField(unique=True)
    at = models.FloatField()

    def __str__(self) -> str:
        return f"{self.number} at {self.at}"
