from django.db import models
from uuid_utils.compat import uuid7


class Edition(models.Model):
    number = models.IntegerField(primary_key=True)
    copies = models.IntegerField()
    """How many nobody has yet."""

    def __str__(self) -> str:
        return f"Edition {self.number}"


class PrintOrder(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7)
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT)
    street = models.TextField()
    has_copy = models.BooleanField(default=False)
    outcome = models.TextField(default="")
    """What the reader is told: `posted`, or why not; empty while it is under way."""

    def __str__(self) -> str:
        return str(self.id)
