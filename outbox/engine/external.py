"""External consumers: prepare in a transaction, call outside of any, record in a transaction fenced by the lease.

Calls run on threads; the database is used by the worker's own thread only. A crash between call and record repeats
the call after the lease, with the same idempotency key.
"""

import contextvars
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from structlog import get_logger

from outbox import breakers
from outbox.consumers import ExternalConsumer
from outbox.context import Context, enter
from outbox.contracts import Message
from outbox.engine import failures, queue
from outbox.engine.identity import Identity
from outbox.engine.queue import Claimed
from outbox.engine.running import decode, in_context, milliseconds_since, note_done, settle_failure
from outbox.outcomes import Failure, Throttled, Transient
from outbox.publishing import unit_of_work

MAX_IN_FLIGHT = 32
"""Threads per worker process, over all destinations."""

_NOT_TOLD = ("throttled", "snoozed", "contended", "interrupted", "parked")
"""Kinds of failure after which the handler has nothing to note: nothing was done outside, nor will it be given up."""

log = get_logger("outbox.external")


@dataclass(slots=True)
class Call:
    """A call under way."""

    consumer: ExternalConsumer
    claimed: Claimed
    payload: Message
    plan: Any
    started: float
    probe: bool
    future: "Future[Any] | None" = None


class Caller:
    """The calls in flight of one worker process."""

    def __init__(self, me: Identity) -> None:
        self._me = me
        self._pool = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="call")
        self._calls: list[Call] = []
        self._turned_away: list[str] = []
        """Consumers that found their destination full, and go first when a call ends."""
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
        free = min(MAX_IN_FLIGHT - len(self._calls), consumer.concurrency - self._in_flight(consumer))
        if free <= 0:
            self._turned_away.append(consumer.name)
            return 0
        gate = breakers.gate(consumer.destination)
        if gate is breakers.Gate.WAIT:
            return 0
        if only is not None:
            return int(self._prepare(consumer, [only], probe=gate is breakers.Gate.PROBE) > 0)
        limit = 1 if gate is breakers.Gate.PROBE else free
        return self._prepare(consumer, None, probe=gate is breakers.Gate.PROBE, limit=limit)

    def _in_flight(self, consumer: ExternalConsumer) -> int:
        return sum(call.consumer.destination == consumer.destination for call in self._calls)

    def _prepare(self, consumer: ExternalConsumer, only: list[int] | None, *, probe: bool, limit: int = 1) -> int:
        """Prepare a batch in one transaction; when one of it fails, again one by one."""
        claimed: list[Claimed] = []
        prepared: list[Call] = []
        failure: Exception | None = None
        started = time.perf_counter()
        try:
            with unit_of_work():
                claimed = self._claim(consumer, only, limit)
                if not claimed:
                    breakers.give_back(consumer.destination, probe=probe)
                    return 0
                self._me.note(consumer.name, [*self.delivery_ids, *(c.id for c in claimed)])
                prepared = [self._prepared(consumer, c, probe=probe) for c in claimed]
                self._take(prepared)
        except Exception as error:
            if not claimed or failures.connection_lost(error):
                raise
            failure = error
        if failure is None:
            self._launch(prepared, probe=probe)
        elif len(claimed) == 1:
            breakers.give_back(consumer.destination, probe=probe)
            settle_failure(consumer, claimed[0], failure, self._me.id, counted=False, started=started)
        else:
            for one in claimed:
                self._prepare(consumer, [one.id], probe=probe)
        return len(claimed)

    def _claim(self, consumer: ExternalConsumer, only: list[int] | None, limit: int) -> list[Claimed]:
        if only is None:
            claimed = queue.claim(consumer.name, limit)
        else:
            one = queue.claim_one(only[0])
            claimed = [one] if one else []
        return queue.drop_finished(claimed)

    def _prepared(self, consumer: ExternalConsumer, claimed: Claimed, *, probe: bool) -> Call:
        payload = decode(claimed)
        plan = in_context(claimed, consumer.handler.prepare, payload, claimed.incoming())
        return Call(consumer, claimed, payload, plan, time.perf_counter(), probe)

    def _take(self, prepared: list[Call]) -> None:
        """Acknowledge what needs no call, lease the rest."""
        idle = [call for call in prepared if call.plan is None]
        if idle:
            queue.finish([call.claimed for call in idle], {call.claimed.id: 0 for call in idle}, extra_attempt=1)
        leased = [call.claimed.id for call in prepared if call.plan is not None]
        if leased:
            queue.lease(leased, self._me.id)

    def _launch(self, prepared: list[Call], *, probe: bool) -> None:
        calling = [call for call in prepared if call.plan is not None]
        for call in prepared:
            if call.plan is None:
                note_done(call.claimed, milliseconds_since(call.started))
        if not calling:
            breakers.give_back(prepared[0].consumer.destination, probe=probe)
        for call in calling:
            call.started = time.perf_counter()
            call.future = self._pool.submit(contextvars.Context().run, self._call, call)
            call.future.add_done_callback(lambda _: os.eventfd_write(self.bell, 1))
            self._calls.append(call)

    @staticmethod
    def _call(call: Call) -> Any:
        enter(Context(call.claimed.correlation_id, call.claimed.message_id, call.claimed.actor))
        return call.consumer.handler.call(call.plan)

    def collect(self) -> list[str]:
        """Record the calls that have ended; return the consumers that may call now, those turned away first."""
        ended = [call for call in self._calls if call.future is not None and call.future.done()]
        for call in ended:
            self._calls.remove(call)
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
            breakers.succeeded(call.consumer.destination, probe=call.probe)
            self._record(call, call.future.result())
        else:
            self._judge_destination(call, error)
            self._fail(call, error if isinstance(error, Exception) else Transient(repr(error), unknown=True), sent=True)

    def _judge_destination(self, call: Call, error: BaseException) -> None:
        """Tell the breaker: only failures that say something about the destination count."""
        destination = call.consumer.destination
        if isinstance(error, Throttled):
            breakers.throttled(destination, error.retry_after, probe=call.probe)
        elif failures.judge(error, 1, failures.policy_of(call.consumer)).kind in ("transient", "unknown"):
            breakers.failed(destination, probe=call.probe, reason=f"{type(error).__name__}: {error}"[:200])
        else:
            breakers.succeeded(destination, probe=call.probe)

    def _record(self, call: Call, result: Any) -> None:
        try:
            with unit_of_work():
                if not queue.still_holds(call.claimed, self._me.id):
                    log.warning("lease_lost", consumer=call.consumer.name, message_id=str(call.claimed.message_id))
                    return
                message = call.claimed.incoming()
                in_context(call.claimed, call.consumer.handler.record, call.payload, message, call.plan, result)
                queue.finish([call.claimed], {call.claimed.id: milliseconds_since(call.started)}, extra_attempt=0)
        except Exception as error:
            if failures.connection_lost(error):
                raise
            self._fail(call, error)
            return
        note_done(call.claimed, milliseconds_since(call.started))

    def _fail(self, call: Call, error: Exception, *, sent: bool = False) -> None:
        """Record the failed attempt, and let the handler note what it means, in one transaction.

        `sent` tells that it is the call itself that failed: a probe that shows that the outage lasts costs its message
        no attempt, else the few messages of a quiet hour would be given up before a long outage ends.
        """
        verdict = failures.verdict_on(call.claimed, error, failures.policy_of(call.consumer))
        if sent and call.probe and verdict.kind in ("transient", "unknown"):
            wait = failures.policy_of(call.consumer).delay(call.claimed.attempts + 1)
            verdict = replace(verdict, state="scheduled", delay=wait, counts=False)
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
            if not queue.still_holds(claimed, self._me.id):
                log.warning("lease_lost", consumer=call.consumer.name, message_id=str(claimed.message_id))
                return
            if tell_handler and verdict.kind not in _NOT_TOLD and call.consumer.failed is not None:
                unknown = verdict.kind == "unknown" or (
                    verdict.kind == "transient" and not isinstance(error, Transient)
                )
                failure = Failure(error, unknown, claimed.attempts + 1, verdict.final)
                in_context(claimed, call.consumer.failed, call.payload, claimed.incoming(), call.plan, failure)
            in_context(
                claimed,
                lambda: failures.record(claimed, verdict, error, owner=self._me.id, counted=True, milliseconds=spent),
            )
