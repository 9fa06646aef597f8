"""A backlog whose handler does one small UPDATE: our queue against stock django-q2 with its ORM broker, tuned."""

import time
from uuid import uuid4

from django.db import connection
from django_q.models import OrmQ

from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.bench.commands import Touch
from tests.bench.measuring import Result, Samples, compare, running, wait_until
from tests.bench.models import Item

OURS = 20_000
STOCK = 2_000
"""Fewer, since it is slower: what is compared is the rate."""
PER_UNIT = 500
BENCH = uuid4()


def drain() -> list[Result]:
    """Measure it: both with two workers, from the first effect to the last."""
    Item.objects.bulk_create([Item(id=number) for number in range(1, OURS + 1)], batch_size=5_000)
    return compare(_ours, _stock, units={"drain": "messages/s"}, bounds={"drain": "ratio >= 8"})


def _ours() -> Samples:
    for start in range(1, OURS + 1, PER_UNIT):
        with unit_of_work():
            for number in range(start, start + PER_UNIT):
                send(Touch(bench_id=BENCH, number=number))
    with running(["-m", "django", "qcluster"], TANDEM_WORKERS="2"):
        rate = _rate(OURS)
    assert not Delivery.objects.filter(consumer="bench.touch").exists()
    return rate


def _stock() -> Samples:
    stock = {"DJANGO_SETTINGS_MODULE": "tests.bench.stock_settings"}
    with running(["-m", "tests.bench.stock_fill", str(STOCK)], **stock) as filling:
        assert filling.wait() == 0
    with running(["-m", "django", "qcluster"], **stock):
        rate = _rate(STOCK)
        wait_until(lambda: not OrmQ.objects.filter(key="stock").exists(), what="acknowledgements")
    return rate


def _rate(messages: int) -> Samples:
    """Return messages per second between the first effect and the last; each has one effect exactly."""
    Item.objects.update(touched=0)
    wait_until(lambda: _done() > 0, what="the first effect")
    before, started = _done(), time.monotonic()
    wait_until(lambda: _done() >= messages, what="the last effect")
    seconds = time.monotonic() - started
    assert Item.objects.filter(touched=1).count() == messages
    return {"drain": (messages - before) / seconds}


def _done() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(touched), 0) FROM bench_item")
        return int(cursor.fetchone()[0])
