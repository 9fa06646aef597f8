"""Whatever happens to messages with ordering keys, each key is done in order, and nothing is lost or done twice."""

import time
from collections import defaultdict
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from outbox import operations
from outbox.engine import queue, reaper, shift
from outbox.invariants import verify
from outbox.models import Delivery, Receipt, Worker
from outbox.publishing import unit_of_work
from tests.integration.outbox.asking import ask, sql, tell
from tests.lab import ordered
from tests.lab.models import Effect
from tests.lab.ordered import Moved, Turn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M14", "M39")]
KEYS = st.integers(0, 2)


class Ordered(RuleBasedStateMachine):
    """Publishes, fails, crashes, retries and skips over three keys, with two transactional and an external consumer."""

    def __init__(self, worker: shift.Shift) -> None:
        super().__init__()
        self.worker = worker
        self.benches = [uuid4() for _ in range(3)]
        self.published: dict[str, list[int]] = defaultdict(list)
        """Numbers by consumer and key, in order of publication."""
        self.number = 0
        ordered.broken.clear()

    def _next(self, key: int, *consumers: str) -> int:
        self.number += 1
        for consumer in consumers:
            self.published[f"{consumer} {self.benches[key]}"].append(self.number)
        return self.number

    @rule(keys=st.lists(KEYS, min_size=1, max_size=6))
    def send_in_one_transaction(self, keys: list[int]) -> None:
        ask(*(Turn(bench_id=self.benches[key], number=self._next(key, "turn")) for key in keys))

    @rule(key=KEYS)
    def publish(self, key: int) -> None:
        bench = self.benches[key]
        tell(Moved(bench_id=bench, number=self._next(key, "track", "post"), town=str(bench)))

    @rule(ahead=st.integers(-2, 2))
    def break_one(self, ahead: int) -> None:
        ordered.broken.add(self.number + ahead)

    @rule()
    def mend_all(self) -> None:
        ordered.broken.clear()

    @rule()
    def work(self) -> None:
        self.worker.run(shift.never, seconds=0.02)

    @rule()
    def a_worker_dies_with_everything_in_hand(self) -> None:
        ready = list(Delivery.objects.filter(state="ready").values_list("id", flat=True))
        Worker.objects.create(id=uuid4(), host="elsewhere", pid=1, lock=1, consumer="lab.turn", deliveries=ready)
        reaper.reap()

    @rule()
    def a_lease_runs_out(self) -> None:
        head = Delivery.objects.filter(state="ready", consumer="lab.post").first()
        if head is not None:
            with unit_of_work():
                queue.lease([head.id], uuid4())
            sql("UPDATE outbox_delivery SET lease_until = now() - interval '1 s' WHERE id = %s", head.id)

    @rule()
    def an_operator_retries_what_is_dead(self) -> None:
        operations.each(operations.retry_dead_letter, operations.dead_letter_ids(), "try again")

    @rule(data=st.data())
    def an_operator_skips_a_head(self, data: st.DataObject) -> None:
        waiting = Delivery.objects.filter(state__in=["dead", "scheduled", "isolated"]).order_by("id")
        if waiting.exists():
            chosen = data.draw(st.sampled_from(list(waiting.values_list("id", flat=True))))
            operations.each(operations.skip_delivery, [chosen], "never mind")

    def _done(self) -> dict[str, list[int]]:
        found = defaultdict(list)
        for label, number in Effect.objects.order_by("id").values_list("label", "number"):
            found[label].append(number)
        return found

    @invariant()
    def each_key_is_done_in_order_of_publication_and_nothing_twice(self) -> None:
        for key, numbers in self._done().items():
            if key in self.published:
                assert numbers == sorted(set(numbers)), key

    def teardown(self) -> None:
        """When all is mended, whatever was not skipped is done."""
        ordered.broken.clear()
        until = time.monotonic() + 60
        while Delivery.objects.exists() and time.monotonic() < until:
            self.an_operator_retries_what_is_dead()
            self.worker.run(shift.never, seconds=0.05)
        skipped = Receipt.objects.filter(outcome="skipped").values_list("message_id", "consumer")
        lost = {(str(message), consumer.removeprefix("lab.")) for message, consumer in skipped}
        by_number = dict(sql("SELECT (payload ->> 'number')::int, id::text FROM outbox_message"))
        done = self._done()
        for key, published in self.published.items():
            consumer = key.partition(" ")[0]
            expected = [number for number in published if (by_number[number], consumer) not in lost]
            assert done[key] == expected, key
        assert [verdict for verdict in verify() if verdict.violations] == []
        sql("TRUNCATE outbox_message, outbox_receipt, outbox_attempt, lab_effect")


def test_over_several_keys_and_consumers_order_and_completeness_hold_whatever_happens(transactional_db):
    worker = shift.Shift()
    try:
        run_state_machine_as_test(
            lambda: Ordered(worker),
            settings=settings(
                max_examples=6,
                stateful_step_count=20,
                deadline=None,
                phases=[Phase.generate],  # workers keep their own time: what failed once may not fail when it is shrunk
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        worker.me.sign_out()
        worker.abandon()
