"""A shift: for about two seconds a worker process claims and handles deliveries, and waits when there are none.

django-q2 hands out shifts without end (outbox/q2.py); between two of them a worker can be stopped or recycled.
"""

import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from structlog import get_logger

from outbox import breakers, control, depth, doorbell, stats
from outbox.conf import conf
from outbox.consumers import AnyConsumer, Consumer, ExternalConsumer, all_consumers, find
from outbox.engine import deadlines, parking, queue, reaper, watch
from outbox.engine.alarms import Alarms
from outbox.engine.external import Caller
from outbox.engine.heart import Heart
from outbox.engine.identity import Identity
from outbox.engine.transactional import BATCH_SECONDS, run_batch, run_one
from outbox.sagas.attention import expire_late_steps

SHIFT_SECONDS = 2.0
PLACE_SECONDS = 0.02
"""When to look again for a place that other workers hold: a batch lasts about as long."""
LINGER_SECONDS = 25.0
"""How long a worker that stops may wait for its calls."""
SEEN_SECONDS = 5.0
PARKED_SECONDS = 5.0
PAUSE_AFTER_ERROR_SECONDS = 0.5
REST_SECONDS = 0.003
"""After a batch that took all there was the same consumer's next begins no sooner than this after it: where messages
come one after the other a few gather, and a batch of four costs little more than a batch of one."""
HEAD_START_SECONDS = 0.004
"""Every worker hears each ring, and most rings are about one message: an idle worker leaves it to those that signed in
before it, at least this long (more than they rest), and then looks whether anything is left."""
LONGEST_HEAD_START_SECONDS = 0.006

log = get_logger("outbox.shift")


class Shift:
    """The work of one worker process; lives as long as the process and its connections do."""

    def __init__(self) -> None:
        self.me = Identity()
        self._alarms = Alarms()
        self._heart = Heart(self.me.id)
        self._caller = Caller(self.me, self._alarms, on_lease=self._heart.start)
        self._hot: deque[str] = deque()
        """Consumers that may have something to do, in turn."""
        self._names = [entry.name for entry in all_consumers()]
        self._rests_until: dict[str, float] = {}
        self._look_at = self._seen_at = self._parked_at = 0.0
        self._rank = 0
        self._needed = False
        """Whether the last batch was full: then those that signed in earlier do not manage alone."""
        breakers.register_destinations()

    def run(self, stopping: Callable[[], bool], seconds: float = SHIFT_SECONDS) -> None:
        """Work until the time is over, or `stopping` says so.

        Calls under way go on into the next shift, so that one that takes long keeps no other from beginning. A worker
        that stops waits for them.
        """
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end or (stopping() and self._caller.busy and now < end + LINGER_SECONDS):
            self._heart.came_round()
            ended = self._caller.collect()
            self._heat(ended)
            worked = len(ended)
            if stopping():
                end = min(end, now)
            self._keep_house(now)
            worked += self._work_in_turn(calls=now < end)
            if not worked:
                self._idle(end)
        stats.flush()

    def finish_calls(self) -> None:
        """Wait for the calls under way, and record them; what takes too long is repeated after its lease."""
        end = time.monotonic() + LINGER_SECONDS
        while self._caller.busy and time.monotonic() < end:
            self.me.wait(0.5, self._caller.bell)
            self._caller.collect()
            self._keep_leases()
        self._heart.stop()

    def abandon(self) -> None:
        """Give everything up at once; calls under way end unrecorded and are repeated after their lease."""
        self._heart.stop()
        self._caller.close()
        self.me.close()

    def _work_in_turn(self, *, calls: bool) -> int:
        """Give one hot consumer its turn: a batch, or as many calls as are free.

        Fair by going round. One that was cold until now goes first, so that a single message waits for the batch that
        is under way and not for everybody's; after its turn it goes round like the others.
        """
        control.look_again_if_rung(self.me.rung)
        self._heat(self.me.rung, first=True)
        self.me.rung.clear()
        self._heat(self._alarms.due())
        if not self._hot:
            return 0
        entry = find(self._hot.popleft())
        if entry is None or (entry.external and not calls) or control.is_paused(entry.name):
            return 1
        if self._caller.start(entry) if isinstance(entry, ExternalConsumer) else self._run_batch(entry):
            self._hot.append(entry.name)
        return 1

    def _run_batch(self, entry: Consumer) -> bool:
        """Run a batch within the consumer's limits; tell whether there may be more to do at once.

        A batch that was not full, and had the time for all it took, left nothing: whatever is committed from then on
        rings. When the limits let nothing pass, the alarm is set.
        """
        self._rest(entry.name)
        limits, limit = control.limits_of(entry.name), entry.batch
        if limits.per_second:
            limit, retry_in = control.take(entry.name, limit, limits.per_second)
            if retry_in is not None:
                self._alarms.set(entry.name, retry_in)
            if not limit:
                return False
        began = time.monotonic()
        worked = run_batch(entry, self.me, limit, limits.concurrency or entry.concurrency)
        if worked is None:
            self._alarms.set(entry.name, PLACE_SECONDS)
            return False
        self._needed = worked >= limit or time.monotonic() - began >= BATCH_SECONDS
        if not self._needed:
            self._rests_until[entry.name] = began + REST_SECONDS
        return self._needed

    def _rest(self, name: str) -> None:
        """Let a few messages gather, when the last batch has only just ended and nothing else is to be done."""
        seconds = self._rests_until.get(name, 0.0) - time.monotonic()
        if seconds > 0 and not self._hot and not self._caller.busy:
            time.sleep(seconds)

    def _heat(self, names: "set[str] | list[str]", *, first: bool = False) -> None:
        cold = [name for name in names if name not in self._hot and find(name) is not None]
        (self._hot.extendleft if first else self._hot.extend)(cold)

    def _idle(self, end: float) -> None:
        """Nothing to do: wait for the doorbell, a call, a timer, the next look or the end of the shift."""
        self._caller.tell_what_ended()
        if not self._caller.busy:
            self.me.clear_note()
        now = time.monotonic()
        self.me.wait(min(self._look_at, self._alarms.next(), max(end, now + 0.05)) - now, self._caller.bell)
        if self._rank and not self._needed and (rung := doorbell.consumers_among(self.me.rung)):
            self._leave_to_others(rung)

    def _leave_to_others(self, rung: list[str]) -> None:
        """Let workers that signed in earlier take what was rung for; go on with what they left."""
        time.sleep(min(self._rank * HEAD_START_SECONDS, LONGEST_HEAD_START_SECONDS))
        left = queue.with_work(rung)
        self.me.rung.difference_update(set(rung).difference(left))

    def _keep_house(self, now: float) -> None:
        """Do what is due besides work: look around, show that this worker lives."""
        due = doorbell.soonest_due(self.me.rung)
        if due is not None:
            self._look_at = min(self._look_at, now + due)
        if now >= self._look_at or doorbell.LOOK in self.me.rung:
            self._look(now)
        if now >= self._seen_at:
            self._seen_at = now + SEEN_SECONDS
            self.me.seen()
            self._keep_leases()
            parking.park_what_nobody_knows()
            stats.flush()
            if self._rank == 0:
                depth.write_down()
        if doorbell.PARKED in self.me.rung:
            self._take_parked(now)

    def _keep_leases(self) -> None:
        """Extend the leases of the calls under way; while this thread is busy longer the heart does it."""
        if self._caller.busy:
            queue.extend_leases(self.me.id)
        self._heart.extended()

    def _look(self, now: float) -> None:
        """Look around, and see to what is found."""
        self.me.rung.discard(doorbell.LOOK)
        sight = watch.look(self._names, self.me.id)
        self._rank = sight.rank
        control.remember(sight.decided)
        self._heat(sight.ready)
        due_in = sight.due_in
        if due_in is not None and due_in <= 0:
            promoted, due_in = queue.promote_due()
            self._heat(promoted)
        self._look_at = now + min(conf.POLL_SECONDS, conf.POLL_SECONDS if due_in is None else due_in)
        if sight.overdue and reaper.reap():
            deadlines.expire()
        if sight.late_sagas:
            expire_late_steps()
        if sight.isolated:
            self._run_isolated()
        if sight.parked and now >= self._parked_at:
            self._take_parked(now)

    def _take_parked(self, now: float) -> None:
        """Do what was parked and this release knows; leave it to everybody where every worker knows it."""
        found = parking.to_do([name for name in self._names if not control.is_paused(name)])
        for_all = [parked for parked in found if parked.by_everyone]
        self._heat(parking.release(for_all))
        taken = len(for_all) + sum(self._run_parked(parked) for parked in found if not parked.by_everyone)
        self._parked_at = now if taken == parking.LISTED_AT_ONCE else now + PARKED_SECONDS

    def _run_parked(self, parked: parking.Parked) -> bool:
        entry = find(parked.consumer)
        assert entry is not None
        if isinstance(entry, ExternalConsumer):
            return bool(self._caller.start(entry, only=parked.id))
        return self._run_one(entry, parked.id)

    def _run_one(self, entry: Consumer, delivery_id: int) -> bool:
        return run_one(entry, delivery_id, self.me, control.limits_of(entry.name).concurrency or entry.concurrency)

    def _run_isolated(self) -> None:
        """Run what has crashed workers before, alone: one at a time, and nothing else in this process meanwhile."""
        if self._caller.busy:
            return
        for delivery_id, name in queue.isolated():
            entry = find(name)
            if entry is not None and not control.is_paused(name) and self._run_alone(entry, delivery_id):
                return

    def _run_alone(self, entry: AnyConsumer, delivery_id: int) -> bool:
        if not isinstance(entry, ExternalConsumer):
            return self._run_one(entry, delivery_id)
        if not self._caller.start(entry, only=delivery_id):
            return False
        while self._caller.busy:
            self.me.wait(1.0, self._caller.bell)
            self._caller.collect()
            self._keep_leases()
        return True


_shift: Shift | None = None
_abandoned: list[UUID] = []
"""Identities that this process gave up with their connection: it lives, so what they had in hand killed nobody."""


def never() -> bool:
    """Do not stop early."""
    return False


def run_shift(stopping: Callable[[], bool] = never, seconds: float = SHIFT_SECONDS) -> None:
    """Work for one shift, in this process. Survives the loss of the database."""
    global _shift
    try:
        if _shift is not None and not _shift.me.alive:
            _give_up()
        if _shift is None:
            _shift = Shift()
            reaper.forgive(_abandoned)
        _shift.run(stopping, seconds)
    except (DatabaseError, InterfaceError, psycopg.Error, OSError) as error:
        # Nothing is lost: what was not committed was not done. The next shift connects anew.
        log.warning("shift_interrupted", error=f"{type(error).__name__}: {error}"[:300])
        _give_up()
        time.sleep(PAUSE_AFTER_ERROR_SECONDS)
    except Exception:
        log.exception("shift_failed")
        _give_up()
        time.sleep(PAUSE_AFTER_ERROR_SECONDS)


def _give_up() -> None:
    """Drop what this process holds, connections included; the next shift begins with new ones."""
    global _shift
    if _shift is not None:
        _shift.abandon()
        _abandoned.append(_shift.me.id)
    _shift = None
    connection.close()


def sign_out() -> None:
    """Leave in an orderly way, at the end of the process."""
    if _shift is None:
        return
    try:
        _shift.finish_calls()
    except (DatabaseError, InterfaceError, psycopg.Error, OSError) as error:
        log.warning("calls_left_unrecorded", error=f"{type(error).__name__}: {error}"[:300])
    _shift.me.sign_out()
