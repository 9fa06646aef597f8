"""SECRET_KEY is replaced while work waits: nothing of the work depends on it."""

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from outbox.models import Delivery
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Call, Note, Single
from tests.lab.models import Effect
from tests.runtime.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8"),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_a_backlog_is_done_under_a_new_key_and_what_the_old_one_signed_is_kept_for_a_person(cluster_with):
    soon = timedelta(seconds=1)
    with unit_of_work():
        ids = [send(kind(bench_id=uuid4(), number=n)) for n in range(5) for kind in (Note, Call, Single)]
        ids += [send(Note(bench_id=uuid4(), number=n), delay=soon) for n in range(5)]
    async_task("outbox.housekeeping.prune", save=False)
    (signed,) = OrmQ.objects.values_list("id", flat=True)

    cluster = cluster_with(SECRET_KEY="another-one-" + "y" * 40)
    eventually(lambda: not Delivery.objects.exists(), 30)
    effects = Effect.objects.filter(label__in=["note", "answer", "single"]).values_list("message_id", flat=True)
    assert Counter(effects) == Counter(ids)
    set_aside = OrmQ.objects.filter(id=signed, lock__gt=timezone.now() + timedelta(hours=1))
    eventually(set_aside.exists, 20)
    assert "task_refused" in cluster.log()
    assert cluster.whole()
