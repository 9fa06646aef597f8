"""The small piece of work that both queues do."""

from django.db.models import F

from tests.bench.models import Item


def touch(number: int) -> None:
    """Update one row."""
    Item.objects.filter(id=number).update(touched=F("touched") + 1)
