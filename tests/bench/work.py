"""The small pieces of work that both queues do."""

from django.db import connection
from django.db.models import F

from tests.bench.models import Item


def touch(number: int) -> None:
    """Update one row through the ORM."""
    Item.objects.filter(id=number).update(touched=F("touched") + 1)


def update(number: int) -> None:
    """Update one row by a cursor."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bench_item SET touched = touched + 1 WHERE id = %s", [number])
