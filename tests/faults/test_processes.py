"""A process of the cluster dies by SIGKILL: work goes on, there is one cluster, nothing is lost, nothing done twice."""

import os
import signal
import time
from collections import Counter
from uuid import UUID, uuid4

import pytest

from outbox.engine import reaper
from outbox.models import Attempt, Delivery, Receipt, Worker
from outbox.publishing import send, unit_of_work
from tests.lab.commands import Call, Note, Single
from tests.lab.models import Effect
from tests.runtime.waiting import all_gone, eventually, is_alive, kill

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8", "M17"),
    pytest.mark.usefixtures("invariants_hold"),
]
BENCH = uuid4()


def send_notes(count: int, behaviour: str = "", first: int = 0) -> list:
    with unit_of_work():
        return [send(Note(bench_id=BENCH, number=n, behaviour=behaviour)) for n in range(first, first + count)]


def effects(label: str = "note") -> Counter:
    return Counter(Effect.objects.filter(label=label).values_list("number", flat=True))


def settled() -> bool:
    return not Delivery.objects.exclude(state="dead").exists()


@pytest.mark.parametrize("victim", ["worker-1", "monitor", "pusher", "sentinel", "cluster"])
def test_work_goes_on_after_any_process_is_killed_while_idle(cluster, victim):
    before = cluster.pids()
    kill(before[victim])
    send_notes(20)
    eventually(settled, 20)
    assert effects() == Counter(range(20))
    eventually(cluster.whole, 20)
    assert len(cluster.mains()) == 1
    after = set(cluster.pids().values())
    assert before[victim] not in after
    assert all_gone([pid for pid in before.values() if pid not in after]), "nothing of the former cluster is left"


def test_a_worker_killed_in_the_middle_of_a_batch_leaves_nothing_half_done(cluster):
    ids = send_notes(12, "slow")
    busy = eventually(lambda: Worker.objects.exclude(deliveries=[]).first())
    kill(busy.pid)
    eventually(settled, 30)
    assert effects() == Counter(range(12))
    assert effects("noted") == Counter(range(12))
    assert Receipt.objects.filter(consumer="lab.note", message_id__in=ids).count() == 12
    crashes = Attempt.objects.filter(kind="crash")
    assert crashes.exists()
    assert set(crashes.values_list("worker_id", flat=True)) == {busy.id}


def test_a_call_under_way_is_repeated_when_its_worker_is_killed(cluster):
    with unit_of_work():
        message_id = send(Call(bench_id=BENCH, number=1, behaviour="slow"))
    leased = eventually(lambda: Delivery.objects.filter(message_id=message_id, state="leased").first())
    kill(Worker.objects.get(id=leased.lease_owner).pid)
    eventually(settled, 20)
    assert Effect.objects.get(message_id=message_id).label == "answer"
    assert Receipt.objects.get(message_id=message_id).attempts == 2


def call_beside_a_long_handler() -> tuple[UUID, Worker]:
    """Have a lone worker call, and then handle for three times as long as a lease of 2 s lasts."""
    with unit_of_work():
        message_id = send(Call(bench_id=BENCH, number=1, behaviour="linger"))
    leased = eventually(lambda: Delivery.objects.filter(message_id=message_id, state="leased").first())
    with unit_of_work():
        send(Single(bench_id=BENCH, number=2, behaviour="linger"))
    return message_id, eventually(lambda: Worker.objects.filter(id=leased.lease_owner, consumer="lab.single").first())


def take_over_what_ran_out() -> bool:
    """Do what any other worker does once a second; tell whether all is done."""
    reaper.reap()
    return settled()


def test_a_handler_that_takes_longer_than_a_lease_costs_no_call_of_the_same_worker_its_own(cluster_with, tmp_path):
    ledger = tmp_path / "calls"
    cluster_with(LEASE_SECONDS="2", TANDEM_WORKERS="1", TANDEM_LAB_CALLS=str(ledger))
    message_id, _ = call_beside_a_long_handler()
    eventually(take_over_what_ran_out, 40)
    assert [line.split()[0] for line in ledger.read_text().splitlines()] == [str(message_id)]
    assert effects("answer") == Counter([1])
    assert effects("single") == Counter([2])
    assert Receipt.objects.get(message_id=message_id).attempts == 1


def test_leases_are_kept_by_no_worker_that_was_killed_in_a_long_handler(cluster_with, tmp_path):
    ledger = tmp_path / "calls"
    cluster_with(LEASE_SECONDS="2", TANDEM_WORKERS="1", TANDEM_LAB_CALLS=str(ledger))
    message_id, worker = call_beside_a_long_handler()
    first = Delivery.objects.get(message_id=message_id).lease_until
    eventually(lambda: Delivery.objects.get(message_id=message_id).lease_until > first)
    kill(worker.pid)
    eventually(settled, 60)
    assert len(ledger.read_text().splitlines()) == 2
    assert effects("answer") == Counter([1])
    assert Receipt.objects.get(message_id=message_id).attempts == 2


def test_the_whole_cluster_killed_at_once_resumes_everything(cluster):
    send_notes(30, "slow")
    eventually(lambda: Worker.objects.exclude(deliveries=[]).exists())
    os.killpg(cluster.pids()["cluster"], signal.SIGKILL)
    eventually(settled, 40)
    assert effects() == Counter(range(30))
    assert len(cluster.mains()) == 1


def test_a_frozen_cluster_is_noticed_and_ended(cluster_with):
    cluster = cluster_with(TANDEM_SILENCE_SECONDS="3")
    sentinel = cluster.pids()["sentinel"]
    for name, pid in cluster.pids().items():
        if name.startswith("worker"):
            os.kill(pid, signal.SIGSTOP)
    send_notes(3)
    eventually(lambda: not is_alive(sentinel), 20)
    eventually(settled, 30)
    assert effects() == Counter(range(3))


def test_the_supervisor_killed_takes_the_cluster_with_it(cluster):
    pids = cluster.pids()
    cluster.supervisor.kill()
    eventually(lambda: all_gone(list(pids.values())))


def test_a_stop_signal_ends_the_cluster_in_order_and_quickly(cluster):
    send_notes(5)
    eventually(settled)
    pids = cluster.pids()
    started = time.monotonic()
    os.kill(pids["cluster"], signal.SIGTERM)
    eventually(lambda: not is_alive(pids["cluster"]), 15)
    assert time.monotonic() - started < 10
    assert all_gone([pids[name] for name in pids if name not in ("supervisor", "cluster")])
    assert not Worker.objects.filter(pid__in=pids.values()).exists(), "the workers signed out"


def test_messages_that_come_while_no_worker_runs_are_handled_later(cluster):
    os.kill(cluster.pids()["cluster"], signal.SIGKILL)
    with unit_of_work():
        send(Single(bench_id=BENCH, number=1))
    eventually(settled, 20)
    assert effects("single") == Counter([1])
