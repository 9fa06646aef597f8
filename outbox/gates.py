"""The gate before a destination: one statement that tells how many calls may begin now, and counts them.

The breaker, `Retry-After`, calls in flight, the rate and the retry budget are one row for all workers and hosts. The
statement looks at the head of the queue first, so that it takes no more than can be used and writes nothing when there
is nothing to do. Moments are the database's. What the row counts is soft: its commit waits for no disk, and a worker
tells anew what it has in flight each time it asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from outbox.consumers import ExternalConsumer

LOOK_AGAIN_SECONDS = 0.05
"""When others hold every place: no bell rings when one of theirs is free."""

_HEAD = """
        SELECT attempts FROM outbox_delivery WHERE consumer = %(consumer)s::text AND state = 'ready'
        ORDER BY priority, id LIMIT %(want)s::int
"""
_FAIR_HEAD = """
        (SELECT attempts FROM outbox_delivery WHERE consumer = %(consumer)s::text AND state = 'ready'
         AND turn IS NOT NULL ORDER BY priority, turn, id LIMIT %(want)s::int)
        UNION ALL
        (SELECT attempts FROM outbox_delivery WHERE consumer = %(consumer)s::text AND state = 'ready'
         AND turn IS NULL ORDER BY priority, id LIMIT %(want)s::int)
        LIMIT %(want)s::int
"""
_ASK = """
WITH queue AS (
    SELECT count(*)::int AS calls, (count(*) FILTER (WHERE attempts > 0))::int AS retries FROM (HEAD) head
), wanted AS (
    SELECT greatest(calls, %(alone)s::int) AS calls, retries FROM queue
), gate AS MATERIALIZED (
    SELECT b.* FROM outbox_breaker b
    WHERE destination = %(destination)s::text AND (
        (SELECT calls FROM wanted) > 0 OR (%(worked)s::bool AND failures > 0)
        OR held -> %(me)s::text IS DISTINCT FROM nullif(%(mine)s::jsonb, '{}')
    ) FOR UPDATE
), moment AS MATERIALIZED (
    SELECT gate.*, clock_timestamp() AS at FROM gate
), limits AS (
    SELECT moment.*,
        coalesce(CASE WHEN overruled THEN limit_concurrency END, %(concurrency)s::int) AS places,
        coalesce(CASE WHEN overruled THEN limit_per_second END, %(rate)s::float) AS rate,
        CASE WHEN overruled AND limit_per_second IS NOT NULL
             THEN greatest(1, limit_per_second) ELSE %(bucket)s::float END AS bucket,
        greatest(0, coalesce(extract(epoch FROM at - reckoned_at), 0))::float AS age
    FROM moment, LATERAL (SELECT coalesce(limit_until > at, true) AS overruled) operators
), living AS (
    SELECT worker.id, worker.calls FROM limits, jsonb_each(held) AS worker (id, calls)
    WHERE worker.id <> %(me)s::text AND EXISTS (SELECT 1 FROM outbox_worker w WHERE w.id = worker.id::uuid)
), elsewhere AS (
    SELECT coalesce(sum(n::int), 0) AS calls,
           coalesce(sum(n::int) FILTER (WHERE consumer = %(consumer)s::text), 0) AS same
    FROM living, jsonb_each_text(living.calls) AS call (consumer, n)
), measured AS (
    SELECT limits.*, wanted.calls AS wanted, wanted.retries AS wanted_again,
        coalesce(throttled_until > at, false) OR (state <> 'closed' AND (
            pinned AND coalesce(pinned_until > at, true)
            OR coalesce(open_until > at, false) OR coalesce(probe_until > at, false))) AS shut,
        least(places - elsewhere.calls - %(in_flight)s::int,
              %(cap)s::int - elsewhere.same - coalesce((%(mine)s::jsonb ->> %(consumer)s::text)::int, 0)) AS room,
        CASE WHEN rate IS NOT NULL THEN least(bucket, coalesce(tokens, bucket) + rate * age) END AS tokens_now,
        floor(recent_calls * fading * 1000) / 1000 AS calls_now,
        floor(recent_retries * fading * 1000) / 1000 AS retries_now
    FROM limits, wanted, elsewhere,
        LATERAL (SELECT age / %(window)s::float AS windows) w,
        LATERAL (SELECT CASE WHEN windows < 20 THEN exp(-windows) ELSE 0 END AS fading) f
), budgeted AS (
    SELECT measured.*, CASE WHEN shut OR state <> 'closed' OR %(alone)s::int > 0 THEN 0 ELSE greatest(0, wanted_again
            - greatest(0, floor(greatest(%(minimum)s::float, %(share)s::float * calls_now) - retries_now))) END AS over
    FROM measured
), verdict AS (
    SELECT budgeted.*, asked, greatest(0, least(asked, room, floor(tokens_now)))::int AS granted
    FROM budgeted, LATERAL (SELECT CASE WHEN shut THEN 0 WHEN state <> 'closed' THEN least(1, wanted)
                                        ELSE wanted - over END::int AS asked) a
), written AS (
    UPDATE outbox_breaker b SET
        held = (SELECT coalesce(jsonb_object_agg(id, calls), '{}') FROM living) || jsonb_strip_nulls(jsonb_build_object(
            %(me)s::text, nullif(%(mine)s::jsonb || CASE WHEN granted = 0 THEN '{}' ELSE jsonb_build_object(
                %(consumer)s::text, granted + coalesce((%(mine)s::jsonb ->> %(consumer)s::text)::int, 0)) END, '{}'))),
        tokens = tokens_now - granted, reckoned_at = at,
        recent_calls = calls_now + granted, recent_retries = retries_now + least(granted, wanted_again - over),
        limited_at = CASE WHEN granted < asked OR over > 0 THEN at ELSE b.limited_at END,
        failures = CASE WHEN %(worked)s::bool AND b.state = 'closed' THEN 0 ELSE b.failures END
    FROM verdict v WHERE b.destination = v.destination AND (
        NOT shut OR %(worked)s::bool OR b.held -> %(me)s::text IS DISTINCT FROM nullif(%(mine)s::jsonb, '{}'))
    RETURNING granted, (wanted_again - over)::int, over::int, v.state <> 'closed',
        CASE WHEN granted < asked THEN greatest(%(again)s::float, (1 - tokens_now) / rate) END
)
SELECT written.*, set_config('synchronous_commit', 'off', true) FROM written
"""
_ASK_PLAINLY, _ASK_FAIRLY = _ASK.replace("HEAD", _HEAD, 1), _ASK.replace("HEAD", _FAIR_HEAD, 1)
"""The head of the queue is looked at in the order in which it will be claimed."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker may do now."""

    calls: int = 0
    """Calls that it may begin."""
    retries: int = 0
    """How many of those may be repetitions of calls that failed."""
    over: int = 0
    """Repetitions at the head of the queue that the budget does not cover: they are to be put off."""
    probe: bool = False
    """The breaker is not closed: the one call is a probe, once `breakers.take_probe` has agreed."""
    retry_in: float | None = None
    """Seconds until it is worth asking again, when a limit was in the way."""


NOTHING = Grant()


def ask(
    consumer: ExternalConsumer,
    me: UUID,
    in_flight: Mapping[str, int],
    *,
    want: int,
    alone: bool = False,
    worked: bool = False,
    cap: int | None = None,
) -> Grant:
    """Ask for up to `want` calls of `consumer`, and tell what this worker has in flight at its destination.

    `in_flight` counts this worker's calls there by consumer; `alone` asks for one call of a message that is not at the
    head of the queue; `worked` tells that the last call that ended had succeeded; `cap` bounds this consumer's calls in
    flight over all workers.
    """
    limits = consumer.calls
    budget = limits.retry_budget
    parameters: dict[str, Any] = {
        "destination": limits.name,
        "consumer": consumer.name,
        "me": str(me),
        "mine": msgspec.json.encode({name: count for name, count in in_flight.items() if count}).decode(),
        "in_flight": sum(in_flight.values()),
        "want": 0 if alone else want,
        "alone": int(alone),
        "worked": worked,
        "concurrency": limits.concurrency,
        "cap": cap,
        "rate": limits.rate_per_second,
        "bucket": limits.bucket,
        "window": budget.window_seconds if budget else 1.0,
        "share": budget.share if budget else 1.0,
        "minimum": budget.minimum if budget else 1e9,
        "again": LOOK_AGAIN_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ASK_FAIRLY if consumer.fair_by else _ASK_PLAINLY, parameters)
        row = cursor.fetchone()
    return Grant(row[0], row[1], row[2], row[3], row[4]) if row else NOTHING
