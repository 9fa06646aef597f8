"""Transactional consumers: claim, handle, acknowledge and publish in ONE transaction.

Optimistic: a batch runs without savepoints. When one handler fails, or returns that it has not done its work,
everything rolls back and the batch runs again message by message, so that only that one has no effect.
"""

import time
from collections.abc import Mapping

from django.db import connection

from outbox.consumers import Consumer, Handler, ManyHandler, Received
from outbox.engine import failures, queue
from outbox.engine.identity import Identity
from outbox.engine.queue import Claimed
from outbox.engine.running import (
    context_of,
    decode,
    in_context,
    milliseconds_since,
    note_done,
    require_done,
    settle_failure,
)
from outbox.publishing import unit_of_work

BATCH_SECONDS = 0.05
"""How long a batch may hold its row locks before it commits what it has."""
PLACE_CLASS = 0x0B0F
"""First half of the keys of the locks that are the places of a consumer with a limited number of batches at once."""

_TAKE_PLACE = """
SELECT place FROM generate_series(1, %s) AS place
WHERE pg_try_advisory_xact_lock(%s, hashtext(%s || ' ' || place)) LIMIT 1
"""


def run_batch(consumer: Consumer, me: Identity, limit: int | None = None, places: int | None = None) -> int | None:
    """Handle up to `limit` deliveries; return how many were claimed, or None when all `places` are taken.

    Without a `limit` it is a whole batch; `places` bounds the batches of the consumer at once, over all workers.
    """
    limit = limit or consumer.batch
    claimed: list[Claimed] = []
    failure: Exception | None = None
    started = time.perf_counter()
    try:
        with unit_of_work():
            if not _take_place(consumer, places):
                return None
            claimed = queue.claim(consumer.name, limit)
            if not claimed:
                return 0
            if consumer.order_by is not None:
                claimed += queue.claim_successors(claimed, limit - len(claimed))
            me.note(consumer.name, [c.id for c in claimed])
            durations = _handle_all(consumer, claimed)
    except Exception as error:
        if not claimed or failures.connection_lost(error):
            raise
        failure = error
    if failure is None:
        _note_all(claimed, durations)
    elif len(claimed) == 1:
        settle_failure(consumer, claimed[0], failure, me.id, counted=False, started=started)
    else:
        for delivery in claimed:
            run_one(consumer, delivery.id, me, places)
    return len(claimed)


def run_one(consumer: Consumer, delivery_id: int, me: Identity, places: int | None = None) -> bool:
    """Handle one delivery in a transaction of its own; False when it is gone, another worker has it or it must wait."""
    claimed: Claimed | None = None
    started = time.perf_counter()
    try:
        with unit_of_work():
            claimed = queue.claim_one(delivery_id) if _take_place(consumer, places) else None
            if claimed is None:
                return False
            me.note(consumer.name, [delivery_id])
            durations = _handle_all(consumer, [claimed])
    except Exception as error:
        if claimed is None or failures.connection_lost(error):
            raise
        settle_failure(consumer, claimed, error, me.id, counted=False, started=started)
        return True
    _note_all([claimed], durations)
    return True


def _take_place(consumer: Consumer, places: int | None) -> bool:
    """Take one of the consumer's places until the transaction ends, over all workers; True when it has no limit."""
    if places is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_PLACE, (places, PLACE_CLASS, consumer.name))
        return cursor.fetchone() is not None


def _handle_all(consumer: Consumer, claimed: list[Claimed]) -> dict[int, int]:
    """Run the handler and acknowledge what it did; return the durations by delivery."""
    if consumer.handle_many is not None:
        durations = _handle_at_once(consumer.handle_many, claimed)
    else:
        durations = _handle_in_turn(consumer.handler, claimed)
    queue.finish(claimed, durations, extra_attempt=1)
    return durations


def _handle_in_turn(handler: Handler, claimed: list[Claimed]) -> dict[int, int]:
    """Handle as many as the time allows."""
    durations: dict[int, int] = {}
    until = time.perf_counter() + BATCH_SECONDS
    for delivery in claimed:
        started = time.perf_counter()
        require_done(in_context(delivery, handler, decode(delivery), delivery.incoming()))
        durations[delivery.id] = milliseconds_since(started)
        if time.perf_counter() > until:
            break  # the others were only locked: they stay in the queue
    return durations


def _handle_at_once(handle_many: ManyHandler, claimed: list[Claimed]) -> dict[int, int]:
    """Handle all in one call; each is said to have taken as long as the call."""
    started = time.perf_counter()
    answer = handle_many([Received(decode(one), one.incoming(), context_of(one)) for one in claimed])
    require_done(next(iter(answer.values()), None) if isinstance(answer, Mapping) else answer)
    return dict.fromkeys((one.id for one in claimed), milliseconds_since(started))


def _note_all(claimed: list[Claimed], durations: dict[int, int]) -> None:
    for delivery in claimed:
        if delivery.id in durations:
            note_done(delivery, durations[delivery.id])
