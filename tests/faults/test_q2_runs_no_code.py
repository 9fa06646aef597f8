"""Whoever can write django-q2's tables still cannot run code."""

import pickle

import pytest
from django.conf import settings
from django.core import signing
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule, Task
from django_q.signing import BadSignature, SignedPackage

from outbox.q2 import ListedTasks, sync_schedules
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M8")]


class Exploit:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def forged(path: str) -> str:
    """A payload as django-q2 itself would have signed it, with the real key."""

    class Pickled:
        def dumps(self, obj):
            return pickle.dumps(obj)

    return signing.dumps(Exploit(path), key=settings.SECRET_KEY, salt=Conf.PREFIX, serializer=Pickled)


def test_a_forged_pickle_is_refused_even_with_the_right_key(tmp_path):
    with pytest.raises(BadSignature):
        SignedPackage.loads(forged(str(tmp_path / "pwned")))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "task",
    [
        b'{"id": "1", "name": "x", "func": "os.system", "started": "2026-01-01T00:00:00+00:00"}',
        b'{"id": "1", "name": "x", "func": "outbox.q2.work_a_shift", "args": [1], "started": "2026-01-01T00:00:00Z"}',
        b'{"id": "1", "name": "x", "func": "outbox.q2.work_a_shift"}',
        b"[]",
        b"not json",
    ],
)
def test_only_listed_functions_without_arguments_come_back(task):
    with pytest.raises(BadSignature):
        ListedTasks.loads(task)


def test_options_that_name_code_are_dropped():
    task = ListedTasks.loads(
        b'{"id": "1", "name": "x", "func": "outbox.housekeeping.prune", "started": "2026-01-01T00:00:00+00:00",'
        b' "hook": "os.abort", "chain": [["os.abort", []]], "cached": true, "sync": true}'
    )
    assert set(task) == {"id", "name", "func", "started", "args", "kwargs"}


def test_rows_that_name_code_are_set_aside_and_work_goes_on(cluster, tmp_path):
    victim = tmp_path / "pwned"
    Schedule.objects.create(
        func="os.system", args=f"'touch {victim}'", schedule_type=Schedule.ONCE, next_run=timezone.now(), name="evil"
    )
    row = OrmQ.objects.create(key="tandem", payload=forged(str(victim)), lock=timezone.now())
    eventually(
        lambda: OrmQ.objects.filter(id=row.id, lock__gt=timezone.now() + timezone.timedelta(hours=1)).exists(), 15
    )
    assert OrmQ.objects.filter(id=row.id).exists(), "kept for inspection"
    assert "task_refused" in cluster.log()
    assert cluster.whole()
    assert not victim.exists()
    assert not Task.objects.filter(func="os.system").exists()


def test_schedules_are_those_of_the_settings_and_no_others():
    Schedule.objects.create(func="os.system", args="'true'", name="evil")
    sync_schedules()
    assert set(Schedule.objects.values_list("func", flat=True)) == set(settings.PERIODIC_JOBS)
