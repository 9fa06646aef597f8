from uuid import uuid4

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


class PlainOrder(models.Model):
    """An order as the least one may keep it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    currency = models.CharField(max_length=3)
    shipping_address = models.JSONField()
    payment_method = models.CharField(max_length=120)
    placed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.pk)


class PlainLine(models.Model):
    """A line of it."""

    order = models.ForeignKey(PlainOrder, on_delete=models.CASCADE)
    sku = models.CharField(max_length=40)
    quantity = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku}"


class PlainStock(models.Model):
    """What is left of a product."""

    sku = models.CharField(max_length=40, unique=True)
    left = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.left} of {self.sku}"


class PlainMessage(models.Model):
    """A row of an outbox."""

    name = models.CharField(max_length=100)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
