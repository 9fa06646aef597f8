"""External consumers: prepare in a transaction, call outside of any, record in a transaction fenced by the lease.

Calls run on threads; the database is used by the worker's own thread only, but for the leases (outbox/engine/heart.py).
A crash between call and record repeats the call after the lease, with the same idempotency key; unless the contract
says at most once: such a call is acknowledged with its preparation, and its receipt says `begun` until its end is
recorded.
"""

import contextvars
import functools
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from structlog import get_logger

from outbox import breakers, control, gates, stats
from outbox.consumers import ExternalConsumer
from outbox.context import Context, enter
from outbox.contracts import Message, Semantics, contract_named
from outbox.engine import failures, queue
from outbox.engine.alarms import Alarms
from outbox.engine.identity import Identity
from outbox.engine.queue import Claimed
from outbox.engine.running import decode, in_context, milliseconds_since, note_done, require_done, settle_failure
from outbox.gates import Grant
from outbox.outcomes import Failure, NotDone, Transient
from outbox.publishing import unit_of_work

MAX_IN_FLIGHT = 128
"""Threads per worker process, over all destinations; made when they are needed."""
MAX_PER_DESTINATION = 32
"""Calls in flight per worker process at one destination, so that a slow one leaves threads to the others."""
LEAST_DEFERRAL = timedelta(seconds=1)

_NOT_TOLD = ("throttled", "snoozed", "contended", "interrupted", "parked")
"""Kinds of failure after which the handler has nothing to note, unless it is given up: nothing was done outside."""

log = get_logger("outbox.external")


@dataclass(slots=True, eq=False)
class Call:
    """A call under way."""

    consumer: ExternalConsumer
    claimed: Claimed
    payload: Message
    plan: Any
    started: float
    probe: bool
    once: bool
    """It is acknowledged before it is made, and never repeated."""
    future: "Future[Any] | None" = None
    ended: float = 0.0
    """When the answer came, so that the breaker hears of several in their order."""


class Caller:
    """The calls in flight of one worker process."""

    def __init__(self, me: Identity, alarms: Alarms, on_lease: Callable[[], object] = lambda: None) -> None:
        self._me = me
        self._on_lease = on_lease
        """Told whenever calls are about to begin."""
        self._alarms = alarms
        self._pool = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="call")
        self._calls: list[Call] = []
        self._turned_away: list[str] = []
        """Consumers that found their destination full, and go first when a call ends."""
        self._told: dict[str, int] = {}
        """Calls that the gate believes to be in flight from here, by destination."""
        self._last: dict[str, ExternalConsumer] = {}
        """The consumer that asked last, by destination."""
        self._worked: set[str] = set()
        """Destinations whose last call succeeded, which the gate has not heard of yet."""
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Becomes readable when a call has ended."""

    @property
    def busy(self) -> bool:
        """Whether any call is under way."""
        return bool(self._calls)

    @property
    def delivery_ids(self) -> list[int]:
        """The deliveries whose calls are under way."""
        return [call.claimed.id for call in self._calls]

    def start(self, consumer: ExternalConsumer, *, only: int | None = None) -> int:
        """Claim what may be called now, prepare it and start the calls; return how many deliveries were claimed."""
        in_flight = self._in_flight(consumer.destination)
        free = min(MAX_IN_FLIGHT - len(self._calls), MAX_PER_DESTINATION - in_flight.total())
        if free <= 0:
            self._turned_away.append(consumer.name)
            return 0
        limits = control.limits_of(consumer.name)
        if limits.per_second and only is None:
            free, retry_in = control.take(consumer.name, free, limits.per_second)
            if retry_in is not None:
                self._alarms.set(consumer.name, retry_in)
            if not free:
                return 0
        grant = self._ask(consumer, in_flight, want=free, alone=only is not None)
        if grant.probe and grant.calls and not breakers.take_probe(consumer.destination):
            return 0
        if not grant.calls and not grant.over:
            return 0
        return self._prepare(consumer, None if only is None else [only], grant)

    def tell_what_ended(self) -> None:
        """Tell the gates of destinations where fewer calls are in flight than they believe."""
        for destination, told in list(self._told.items()):
            in_flight = self._in_flight(destination)
            if in_flight.total() != told:
                self._ask(self._last[destination], in_flight, want=0, alone=False)

    def _ask(self, consumer: ExternalConsumer, in_flight: Counter[str], *, want: int, alone: bool) -> Grant:
        destination = consumer.destination
        worked = destination in self._worked
        cap = control.limits_of(consumer.name).concurrency or consumer.concurrency
        grant = gates.ask(consumer, self._me.id, in_flight, want=want, alone=alone, worked=worked, cap=cap)
        self._worked.discard(destination)
        self._told[destination] = in_flight.total() + grant.calls
        self._last[destination] = consumer
        if grant.retry_in is not None and not grant.calls:
            self._alarms.set(consumer.name, grant.retry_in)
        return grant

    def _in_flight(self, destination: str) -> Counter[str]:
        return Counter(call.consumer.name for call in self._calls if call.consumer.destination == destination)

    def _prepare(self, consumer: ExternalConsumer, only: list[int] | None, grant: Grant) -> int:
        """Prepare a batch in one transaction; when one of it fails, again one by one."""
        claimed: list[Claimed] = []
        prepared: list[Call] = []
        failure: Exception | None = None
        started = time.perf_counter()
        try:
            with unit_of_work():
                claimed, put_off = self._claim(consumer, only, grant)
                if not claimed:
                    breakers.give_back(consumer.destination, probe=grant.probe)
                    return put_off
                self._me.note(consumer.name, [*self.delivery_ids, *(c.id for c in claimed)])
                prepared = [self._prepared(consumer, c, probe=grant.probe) for c in claimed]
                self._take(prepared)
        except Exception as error:
            if not claimed or failures.connection_lost(error):
                raise
            failure = error
        if failure is None:
            self._launch(prepared, probe=grant.probe)
        elif len(claimed) == 1:
            breakers.give_back(consumer.destination, probe=grant.probe)
            settle_failure(consumer, claimed[0], failure, self._me.id, counted=False, started=started)
        else:
            for one in claimed:
                self._prepare(consumer, [one.id], grant)
        return len(claimed)

    def _claim(self, consumer: ExternalConsumer, only: list[int] | None, grant: Grant) -> tuple[list[Claimed], int]:
        """Return what is to be called now, and how many repetitions were put off."""
        put_off: list[Claimed] = []
        if only is None:
            claim = queue.claim_fairly if consumer.fair_by else queue.claim
            claimed, put_off = self._within(grant, claim(consumer.name, grant.calls + grant.over))
        else:
            one = queue.claim_one(only[0])
            claimed = [one] if one else []
        if put_off:
            self._put_off(consumer, put_off)
        return queue.drop_finished(claimed), len(put_off)

    @staticmethod
    def _within(grant: Grant, claimed: list[Claimed]) -> tuple[list[Claimed], list[Claimed]]:
        """Part what may be called now from the repetitions beyond the retry budget.

        What is neither was only locked, and stays where it is.
        """
        again = [one for one in claimed if one.attempts]
        over = again[grant.retries :] if grant.over else []
        late = {one.id for one in over}
        return [one for one in claimed if one.id not in late][: grant.calls], over

    @staticmethod
    def _put_off(consumer: ExternalConsumer, over: list[Claimed]) -> None:
        policy = failures.policy_of(consumer)
        waits = {one.id: max(LEAST_DEFERRAL, policy.delay(one.attempts)) for one in over}
        queue.defer(waits, f"the retry budget of {consumer.destination}")
        stats.count(consumer.name, "deferred", len(over))
        log.info("retries_deferred", consumer=consumer.name, destination=consumer.destination, count=len(over))

    def _prepared(self, consumer: ExternalConsumer, claimed: Claimed, *, probe: bool) -> Call:
        payload = decode(claimed)
        plan = in_context(claimed, consumer.handler.prepare, payload, claimed.incoming())
        if isinstance(plan, NotDone):
            raise plan.as_error()
        once = contract_named(claimed.name).semantics is Semantics.AT_MOST_ONCE
        return Call(consumer, claimed, payload, plan, time.perf_counter(), probe, once)

    def _take(self, prepared: list[Call]) -> None:
        """Acknowledge what needs no call, or may not be called twice; lease the rest."""
        idle = [call for call in prepared if call.plan is None]
        if idle:
            queue.finish([call.claimed for call in idle], {call.claimed.id: 0 for call in idle}, extra_attempt=1)
        once = [call.claimed.id for call in prepared if call.plan is not None and call.once]
        if once:
            queue.begin_once(once)
        leased = [call.claimed.id for call in prepared if call.plan is not None and not call.once]
        if leased:
            queue.lease(leased, self._me.id)

    def _launch(self, prepared: list[Call], *, probe: bool) -> None:
        calling = [call for call in prepared if call.plan is not None]
        for call in prepared:
            if call.plan is None:
                note_done(call.claimed, milliseconds_since(call.started))
        if not calling:
            breakers.give_back(prepared[0].consumer.destination, probe=probe)
        if calling:
            self._on_lease()
        for call in calling:
            call.started = time.perf_counter()
            call.future = self._pool.submit(contextvars.Context().run, self._call, call)
            self._calls.append(call)
            call.future.add_done_callback(functools.partial(self._note_end, call))

    def _note_end(self, call: Call, _future: "Future[Any]") -> None:
        call.ended = time.monotonic()
        os.eventfd_write(self.bell, 1)

    @staticmethod
    def _call(call: Call) -> Any:
        enter(Context(call.claimed.correlation_id, call.claimed.message_id, call.claimed.actor))
        result = call.consumer.handler.call(call.plan)
        if isinstance(result, NotDone):
            raise result.as_error()
        return result

    def collect(self) -> list[str]:
        """Record the calls that have ended; return the consumers that may call now, those turned away first."""
        ended = [call for call in self._calls if call.future is not None and call.future.done()]
        self._calls = [call for call in self._calls if call not in ended]
        self._tell_breakers(sorted(ended, key=lambda call: call.ended))
        for call in ended:
            self._settle(call)
        if not ended:
            return []
        first, self._turned_away = self._turned_away, []
        return [*first, *(call.consumer.name for call in ended)]

    def close(self) -> None:
        """Stop taking calls; those under way end unrecorded."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _settle(self, call: Call) -> None:
        assert call.future is not None
        error = call.future.exception()
        if error is None:
            self._record(call, call.future.result())
        else:
            self._fail(call, error if isinstance(error, Exception) else Transient(repr(error), unknown=True), sent=True)

    def _tell_breakers(self, ended: list[Call]) -> None:
        """Tell each destination's breaker what came of the calls, in their order: the failures since the last success.

        A success while it is closed is told with the next question to the gate.
        """
        failed: dict[str, list[str]] = {}
        for call in ended:
            destination, error = call.consumer.destination, call.future.exception() if call.future else None
            judged = failures.judge(error, 1, failures.policy_of(call.consumer)) if error is not None else None
            if judged is not None and judged.kind == "throttled" and judged.delay is not None:
                breakers.throttled(destination, judged.delay.total_seconds(), probe=call.probe)
            elif judged is not None and judged.kind in ("transient", "unknown"):
                reason = f"{type(error).__name__}: {error}"[:200]
                if call.probe:
                    breakers.failed(destination, probe=True, reason=reason)
                else:
                    failed.setdefault(destination, []).append(reason)
            else:
                self._worked.add(destination)
                failed.pop(destination, None)
                if call.probe:
                    breakers.probe_succeeded(destination)
        for destination, reasons in failed.items():
            afresh = destination in self._worked
            breakers.failed(destination, probe=False, reason=reasons[-1], times=len(reasons), afresh=afresh)
            self._worked.discard(destination)

    def _record(self, call: Call, result: Any) -> None:
        try:
            with unit_of_work():
                if not self._is_ours(call):
                    return
                message = call.claimed.incoming()
                record = call.consumer.handler.record
                require_done(in_context(call.claimed, record, call.payload, message, call.plan, result))
                if call.once:
                    queue.end_once(call.claimed, "done", milliseconds_since(call.started))
                else:
                    queue.finish([call.claimed], {call.claimed.id: milliseconds_since(call.started)}, extra_attempt=0)
        except Exception as error:
            if failures.connection_lost(error):
                raise
            self._fail(call, error)
            return
        note_done(call.claimed, milliseconds_since(call.started))

    def _is_ours(self, call: Call) -> bool:
        """Tell whether the outcome of a call may be recorded; locks its delivery."""
        if call.once or queue.still_holds(call.claimed, self._me.id):
            return True
        log.warning("lease_lost", consumer=call.consumer.name, message_id=str(call.claimed.message_id))
        return False

    def _fail(self, call: Call, error: Exception, *, sent: bool = False) -> None:
        """Record the failed attempt, and let the handler note what it means, in one transaction.

        `sent` tells that it is the call itself that failed.
        """
        policy, spent = failures.policy_of(call.consumer), milliseconds_since(call.started)
        verdict = failures.verdict_on(call.claimed, error, policy, spent, probe=sent and call.probe and not call.once)
        if call.once:
            verdict = failures.never_again(verdict)
        try:
            self._record_failure(call, error, verdict, tell_handler=True)
        except Exception as second:
            if failures.connection_lost(second):
                raise
            log.exception("failed_hook_failed", consumer=call.consumer.name, message_id=str(call.claimed.message_id))
            self._record_failure(call, error, verdict, tell_handler=False)

    def _record_failure(self, call: Call, error: Exception, verdict: failures.Verdict, *, tell_handler: bool) -> None:
        claimed, spent = call.claimed, milliseconds_since(call.started)
        with unit_of_work():
            if not self._is_ours(call):
                return
            told = verdict.final or verdict.kind not in _NOT_TOLD
            if tell_handler and told and call.consumer.failed is not None:
                failure = Failure(error, verdict.unknown, claimed.attempts + 1, verdict.final)
                in_context(claimed, call.consumer.failed, call.payload, claimed.incoming(), call.plan, failure)
            record = failures.record_once if call.once else failures.record
            in_context(
                claimed, lambda: record(claimed, verdict, error, owner=self._me.id, counted=True, milliseconds=spent)
            )
