"""At most once: acknowledged before the call, never repeated, and not begun after its time."""

from datetime import timedelta

import pytest

from outbox.models import Attempt, Delivery, Receipt
from tests.integration.outbox.asking import BENCH, ask, effects, sql
from tests.lab import handlers
from tests.lab.commands import Shout

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M9")]


def shout(behaviour: str = "") -> Shout:
    return Shout(bench_id=BENCH, number=1, behaviour=behaviour)


def receipt() -> tuple[str, int]:
    row = Receipt.objects.get()
    return row.outcome, row.attempts


def test_a_call_of_at_most_once_is_made_and_recorded(drain, invariants_hold):
    ask(shout())
    drain()
    assert (effects(), handlers.calls, receipt()) == (["answer"], {1: 1}, ("done", 1))


def test_it_is_acknowledged_before_it_is_made(drain, hasty, invariants_hold):
    ask(shout("wait"))
    drain(until=lambda: handlers.calls[1] == 1)
    assert (receipt(), effects()) == (("begun", 1), [])
    assert not Delivery.objects.exists()
    handlers.answers[1].set()
    drain(until=lambda: receipt() == ("done", 1))


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("transient", "transient"),
        ("unknown", "unknown"),
        ("throttled", "throttled"),
        ("permanent", "permanent"),
        ("record_fails", "transient"),
    ],
)
def test_no_failure_makes_it_repeat_the_call(drain, invariants_hold, behaviour, kind):
    ask(shout(behaviour))
    drain()
    assert (handlers.calls, receipt()) == ({1: 1}, ("failed", 1))
    assert list(Attempt.objects.values_list("kind", flat=True)) == [kind]
    told = f"failed 1 unknown={behaviour in ('unknown', 'record_fails')} final=True"
    assert effects() == [told], "the handler is told that this was all"


def test_what_fails_before_it_is_acknowledged_is_tried_again(drain, invariants_hold):
    ask(shout("prepare_fails"))
    drain()
    assert handlers.calls == {}
    assert Delivery.objects.get().state == "dead"
    assert not Receipt.objects.exists()


def test_it_has_the_deadline_of_its_contract_and_is_not_begun_after_it(drain, invariants_hold):
    ask(shout())
    ((left,),) = sql("SELECT d.deliver_by - m.created_at FROM outbox_delivery d, outbox_message m")
    assert left == timedelta(minutes=5)
    sql("UPDATE outbox_delivery SET deliver_by = now()")
    drain()
    assert (handlers.calls, receipt()) == ({}, ("expired", 0))
