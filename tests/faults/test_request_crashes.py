"""A web process is killed at every statement and COMMIT of an order, one point after the other: the key settles it.

One point in five by default, all with --all, as in test_crash_points.
"""

import itertools
import os
import signal
from pathlib import Path

import pytest
from django.db import connection

from orders import rate_limits
from orders.models import Order
from outbox.models import Message
from tests.faults.test_crash_points import points
from tests.faults.zygote import Countdown
from tests.shop import Caller, busy_shop

__all__ = ["busy_shop", "points"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M2", "M8", "M39"),
    pytest.mark.usefixtures("invariants_hold"),
]
ANSWERED = "the answer is given"


def order_and_die(caller: Caller, key: str, trace: Path, crash_at: int | None) -> tuple[bool, list[str]]:
    """Place an order in a process of its own that kills itself; tell whether it died, and what had passed."""
    connection.close()  # the child must not inherit it
    pid = os.fork()
    if pid == 0:
        code = 1
        rate_limits.meter = rate_limits.Meter()  # as in any new process, so that all pass the same points
        try:
            countdown = Countdown(crash_at, str(trace))
            countdown.watch()
            with connection.execute_wrapper(countdown.statement):
                placed = Caller(caller.customer, caller.key).place(key=key)
            countdown.passing(ANSWERED)
            code = int(placed.status_code != 201)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0
    return killed, trace.read_text().splitlines()


def test_whatever_moment_a_web_process_dies_at_the_same_key_places_one_order(busy_shop, points, tmp_path):
    trace = tmp_path / "trace"
    killed, events = order_and_die(busy_shop, "whole", trace, None)
    assert not killed
    assert events[-1] == ANSWERED
    assert events.count("COMMIT") == 1
    for count, point in enumerate(itertools.takewhile(lambda point: point <= len(events), points), start=1):
        killed, passed = order_and_die(busy_shop, f"key-{point}", trace, point)
        assert killed
        died_before = f"point {point} of {len(events)}, before: {passed[-1]}"
        committed = "COMMIT" in passed[:-1]
        assert (died_before, Order.objects.count()) == (died_before, count + committed)
        found = busy_shop.place(key=f"key-{point}")
        again = busy_shop.place(key=f"key-{point}")
        assert (died_before, found.status_code, again.content == found.content) == (died_before, 201, True)
        assert (died_before, Order.objects.count()) == (died_before, count + 1)
        assert (died_before, Message.objects.filter(name="orders.order_placed").count()) == (died_before, count + 1)
