"""Turns: what the engine lets a worker do for one endpoint at a time.

A turn takes what is due at one endpoint, sends it in one or a few streams over kept connections, and records it. There
is one turn of an endpoint at a time (its consumer's ordering key), so a slow one holds one thread of a worker, and only
while it is called; what waits for it lies in its own table and costs the others nothing. What fails waits there for its
retry, and an alarm wakes the endpoint.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from django.contrib.postgres.functions import TransactionNow

from outbox.commands import ServeEndpoint, WakeEndpoint
from outbox.consumers import Incoming
from outbox.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookState
from outbox.publishing import send as send_command
from outbox.webhooks import health, keys, queries, schedule, sending
from outbox.webhooks.sending import Answered
from outbox.webhooks.source import Letter, the_source

AT_ONCE = 4
"""Calls in flight at one endpoint; one where order is asked for, or the endpoint fails."""
PER_TURN = 100
QUICK_MS = 20
"""An endpoint whose first answer of a turn took no longer is called in one stream: more would cost more than they
bring."""
TURN_SECONDS = 2.0
"""A turn begins no call after this time, so that others have theirs."""
CALLING_THREADS = 64
"""Threads per process for calls beside the first of a turn; made when they are needed."""


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery of a turn."""

    delivery_id: UUID
    attempts: int
    """Failed ones that count, before this."""
    letter: Letter


@dataclass(frozen=True, slots=True)
class Plan:
    """A turn that has something to send."""

    endpoint_id: UUID
    url: str
    secrets: tuple[str, ...]
    items: tuple[Item, ...]
    streams: int


Result = list[tuple[Item, Answered]]


class Serve:
    """The external consumer of turns."""

    def prepare(self, command: ServeEndpoint, message: Incoming) -> Plan | None:
        """Take what is due; nothing when the endpoint may not be called now."""
        endpoint = WebhookEndpoint.objects.filter(id=command.endpoint_id).annotate(now=TransactionNow()).first()
        if endpoint is None or not health.may_be_called(endpoint):
            return None
        if endpoint.open_until is not None and endpoint.open_until > endpoint.now:
            set_alarm(endpoint, endpoint.now)
            return None
        if not endpoint.enabled:
            queries.hurry(endpoint.id)
        probing = health.is_probing(endpoint)
        taken = queries.take(endpoint.id, message.id, 1 if probing else PER_TURN, ordered=endpoint.ordered)
        items = _items(taken)
        if not items:
            set_alarm(endpoint, endpoint.now)
            return None
        streams = 1 if probing or endpoint.ordered else AT_ONCE
        return Plan(endpoint.id, endpoint.url, keys.signing_secrets(endpoint, endpoint.now), items, streams)

    def call(self, plan: Plan) -> Result:
        """Send the deliveries, in as many streams as the endpoint may have; the first failure ends a turn.

        The first goes alone, so that an endpoint that is down costs one call.
        """
        until, process = time.monotonic() + TURN_SECONDS, os.getpid()
        done: Result = []
        waiting = list(plan.items)
        while waiting:
            quick = not done or done[-1][1].duration_ms <= QUICK_MS
            group = waiting[: 1 if quick else plan.streams]
            del waiting[: len(group)]
            if len(group) == 1:
                done.append((group[0], sending.send(plan.url, group[0].letter, plan.secrets, process)))
            else:
                calls = [_pool(process).submit(sending.send, plan.url, i.letter, plan.secrets, process) for i in group]
                done += [(item, call.result()) for item, call in zip(group, calls, strict=True)]
            if time.monotonic() > until or not all(answered.delivered for _, answered in done):
                break
        return done

    def record(self, command: ServeEndpoint, message: Incoming, plan: Plan, result: Result) -> None:
        """Write what came of it, and have the endpoint served again when more is due."""
        endpoint = WebhookEndpoint.objects.select_for_update().annotate(now=TransactionNow()).get(id=plan.endpoint_id)
        tried = {item.delivery_id for item, _ in result}
        queries.give_back([item.delivery_id for item in plan.items if item.delivery_id not in tried])
        counts = endpoint.enabled
        _write_attempts(result)
        queries.settle([_moved(item, answered, counts=counts) for item, answered in result])
        health.note(endpoint, [answered for _, answered in result], endpoint.now)
        set_alarm(endpoint, endpoint.now)
        endpoint.save(update_fields=health.FIELDS)


def _items(taken: Sequence[WebhookDelivery]) -> tuple[Item, ...]:
    """Return the deliveries with what they send; one whose event is gone is discarded."""
    letters = the_source().letters([one.event_id for one in taken if one.body is None])
    found, lost = [], []
    for one in taken:
        letter = letters.get(one.event_id) if one.body is None else keys.letter_of_test(one)
        if letter is None:
            lost.append((one.id, WebhookState.DISCARDED.value, one.attempts, 0.0))
        else:
            found.append(Item(one.id, one.attempts, letter))
    queries.settle(lost)
    return tuple(found)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process; they do not survive a fork."""
    return ThreadPoolExecutor(CALLING_THREADS, thread_name_prefix=f"webhook-{process}")


def _write_attempts(result: Result) -> None:
    logged = WebhookAttempt.objects.filter(delivery_id__in=[item.delivery_id for item, _ in result])
    numbers: dict[UUID, int] = {}
    for delivery_id in logged.values_list("delivery_id", flat=True):
        numbers[delivery_id] = numbers.get(delivery_id, 0) + 1
    WebhookAttempt.objects.bulk_create(
        WebhookAttempt(
            delivery_id=item.delivery_id,
            number=numbers.get(item.delivery_id, 0) + 1,
            at=answered.at,
            duration_ms=answered.duration_ms,
            status=answered.status,
            error=answered.error,
            answer=answered.answer,
        )
        for item, answered in result
    )


def _moved(item: Item, answered: Answered, *, counts: bool) -> tuple[UUID, str, int, float]:
    """Return where a delivery goes. While its endpoint is disabled for failing, a failure costs it nothing."""
    if answered.delivered:
        return item.delivery_id, WebhookState.SUCCEEDED.value, item.attempts, 0.0
    attempts = item.attempts + counts
    wait = schedule.next_attempt_in(max(attempts, 1), answered.retry_after)
    if wait is None:
        return item.delivery_id, WebhookState.FAILED.value, attempts, 0.0
    return item.delivery_id, WebhookState.WAITING.value, attempts, wait.total_seconds()


def set_alarm(endpoint: WebhookEndpoint, now: datetime) -> None:
    """Have an endpoint served when its next delivery is due and its pause is over: now, or by an alarm."""
    due, is_due = queries.next_due(endpoint.id, ordered=endpoint.ordered)
    if due is None or not health.may_be_called(endpoint):
        return
    paused = endpoint.open_until if endpoint.open_until is not None and endpoint.open_until > now else None
    if is_due and paused is None:
        send_command(ServeEndpoint(endpoint_id=endpoint.id))
        return
    at = max(due, paused or due) if endpoint.enabled else paused or now
    if endpoint.alarm_at is None or endpoint.alarm_at <= now or endpoint.alarm_at > at:
        WebhookEndpoint.objects.filter(id=endpoint.id).update(alarm_at=at)
        endpoint.alarm_at = at
        delay = max(at - now, timedelta(milliseconds=50))
        send_command(WakeEndpoint(endpoint_id=endpoint.id), delay=delay)
