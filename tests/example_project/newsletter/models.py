from django.db import models
from uuid_utils.compat import uuid7


class Subscriber(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    email = models.EmailField(unique=True)
    welcome = models.TextField(default="")
    """What the mail provider calls the letter; empty while none is sent."""

    def __str__(self) -> str:
        return self.email


class Tally(models.Model):
    day = models.DateField(primary_key=True)
    subscribed = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.subscribed}"
