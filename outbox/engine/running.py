"""Running handlers: what transactional and external consumers have in common."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from outbox import stats
from outbox.consumers import AnyConsumer
from outbox.context import Context, enter
from outbox.contracts import Message, contract_named
from outbox.engine import failures, queue
from outbox.engine.queue import Claimed
from outbox.outcomes import NotDone
from outbox.publishing import unit_of_work

log = structlog.get_logger("outbox.work")


def decode(claimed: Claimed) -> Message:
    """Read the payload by its contract. Raises UnknownContract, InvalidPayload."""
    return contract_named(claimed.name).decode(claimed.payload, claimed.version)


def context_of(claimed: Claimed) -> Context:
    """Return the context of what is published and logged while the message is handled."""
    return Context(claimed.correlation_id, claimed.message_id, claimed.actor, claimed.inherited())


def in_context(claimed: Claimed, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run `work` so that what it publishes and logs belongs to the claimed message."""
    former = enter(context_of(claimed))
    try:
        return work(*arguments)
    finally:
        enter(former)


def require_done(answer: object) -> None:
    """Go on when a handler has done its work; else raise, so that nothing of the attempt stays.

    Raises the outcome that it returned, and TypeError for anything else: a coroutine that nobody awaits is no work.
    """
    if answer is None:
        return
    if isinstance(answer, NotDone):
        raise answer.as_error()
    raise TypeError(f"A handler returns None or an outcome (outbox.outcomes), not {answer!r:.200}")


def milliseconds_since(started: float) -> int:
    """Return whole milliseconds since a time.perf_counter() reading."""
    return round((time.perf_counter() - started) * 1000)


def note_done(claimed: Claimed, milliseconds: int) -> None:
    """Tell statistics and logs that a message was handled."""
    latency = claimed.age * 1000 + milliseconds
    stats.count_done(claimed.consumer, latency)
    log.info(
        "handled",
        consumer=claimed.consumer,
        message=claimed.name,
        message_id=str(claimed.message_id),
        correlation_id=str(claimed.correlation_id),
        attempt=claimed.attempts + 1,
        ms=milliseconds,
        since_commit_ms=round(latency, 1),
    )


def settle_failure(
    consumer: AnyConsumer, claimed: Claimed, error: BaseException, owner: UUID, *, counted: bool, started: float
) -> None:
    """Record a failed attempt in a unit of work of its own."""
    if failures.is_repeat(error):
        # Everything was rolled back; the first time stands.
        with unit_of_work():
            queue.drop(claimed)
        log.info("repeat_dropped", consumer=claimed.consumer, message_id=str(claimed.message_id))
        return
    spent = milliseconds_since(started)
    verdict = failures.verdict_on(claimed, error, failures.policy_of(consumer), spent)
    with unit_of_work():
        in_context(
            claimed,
            lambda: failures.record(claimed, verdict, error, owner=owner, counted=counted, milliseconds=spent),
        )
