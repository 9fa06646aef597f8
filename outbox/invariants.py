"""Invariants: what must always be true, written once as queries that return nothing when all is well.

Used by tests, by fault experiments and by `manage.py verify` in production.
"""

from dataclasses import dataclass

from django.db import connection

EXAMPLES = 5


@dataclass(frozen=True)
class Invariant:
    """One rule; `sql` selects the subjects that break it, the first column naming them."""

    name: str
    meaning: str
    sql: str


@dataclass(frozen=True)
class Verdict:
    """How an invariant was found."""

    name: str
    meaning: str
    violations: int
    examples: list[str]


_invariants: dict[str, Invariant] = {}


def invariant(name: str, *, meaning: str, sql: str) -> None:
    """Register a rule that `verify` checks."""
    if name in _invariants:
        raise ValueError(f"Two invariants are called {name!r}")
    _invariants[name] = Invariant(name, meaning, sql)


def verify(prefix: str = "") -> list[Verdict]:
    """Check every rule whose name begins with `prefix` against the database; return what was found, sorted by name."""
    return [_check(_invariants[name]) for name in sorted(_invariants) if name.startswith(prefix)]


def _check(rule: Invariant) -> Verdict:
    with connection.cursor() as cursor:
        cursor.execute(rule.sql)
        broken = [str(row[0]) for row in cursor.fetchall()]
    return Verdict(rule.name, rule.meaning, len(broken), broken[:EXAMPLES])


invariant(
    "outbox.finished_or_pending",
    meaning="No message is both finished and still queued for one consumer (I13)",
    sql="SELECT d.message_id FROM outbox_delivery d JOIN outbox_receipt r USING (message_id, consumer)",
)
invariant(
    "outbox.nothing_overdue",
    meaning="Nothing that is due and may be done has waited for more than a minute (I10)",
    sql="""
    SELECT d.message_id FROM outbox_delivery d
    WHERE (d.state IN ('ready', 'isolated') AND d.enqueued_at < now() - interval '60 s'
           AND NOT EXISTS (SELECT 1 FROM outbox_breaker b WHERE d.consumer = ANY(b.consumers)
                           AND (b.state <> 'closed' OR b.limited_at > now() - interval '5 s'))
           AND NOT EXISTS (SELECT 1 FROM outbox_control c WHERE c.consumer = d.consumer
                           AND (c.paused OR c.limited_at > now() - interval '5 s')))
       OR (d.state = 'scheduled' AND d.due_at < now() - interval '60 s')
       OR (d.state = 'leased' AND d.lease_until < now() - interval '60 s')
    """,
)
invariant(
    "outbox.delivery_has_message",
    meaning="Every delivery has its message",
    sql="""
    SELECT d.message_id FROM outbox_delivery d
    WHERE NOT EXISTS (SELECT 1 FROM outbox_message m WHERE m.id = d.message_id)
    """,
)
invariant(
    "outbox.dead_letters_explained",
    meaning="Every dead letter is visible with its attempts (I20)",
    sql="""
    SELECT d.message_id FROM outbox_delivery d
    WHERE d.state = 'dead'
      AND NOT EXISTS (SELECT 1 FROM outbox_attempt a WHERE a.message_id = d.message_id AND a.consumer = d.consumer)
    """,
)
invariant(
    "outbox.history_is_a_chain",
    meaning="Each transition begins where the one before ended (I14)",
    sql="""
    SELECT machine || ' ' || entity_id FROM (
        SELECT *, lag(to_state, 1, '') OVER w AS previous, row_number() OVER w AS place
        FROM outbox_transition WINDOW w AS (PARTITION BY machine, entity_id ORDER BY seq)
    ) chain WHERE from_state <> previous OR seq <> place
    """,
)
invariant(
    "outbox.no_card_numbers",
    meaning="No message carries a card number (I24)",
    sql=r"""
    SELECT m.id FROM outbox_message m,
        LATERAL regexp_matches(
            regexp_replace(
                m.payload::text,
                '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[a-z]{2,6}_(?=[0-9]*[A-Za-z])[0-9A-Za-z]{8,}', '', 'g'),
            '(?:^|[^0-9.])([3-6][0-9]{12,18})(?:[^0-9]|$)', 'g') AS found (digits),
        LATERAL (
            SELECT sum(CASE WHEN place % 2 = 1 THEN d ELSE (d * 2) / 10 + (d * 2) % 10 END) AS luhn
            FROM (SELECT digit::int AS d, row_number() OVER () AS place
                  FROM regexp_split_to_table(reverse(digits[1]), '') AS digit) s
        ) check_sum
    WHERE luhn % 10 = 0
    """,
)
invariant(
    "outbox.held_behind_another",
    meaning="A delivery that is held has an unfinished one of its ordering key before it (I12)",
    sql="""
    SELECT d.message_id FROM outbox_delivery d
    WHERE d.state = 'held' AND NOT EXISTS (
        SELECT 1 FROM outbox_delivery before
        WHERE before.consumer = d.consumer AND before.ordering_key = d.ordering_key AND before.place < d.place)
    """,
)
invariant(
    "outbox.one_at_a_time",
    meaning="Of an ordering key only the first is not held (I12)",
    sql="""
    SELECT d.message_id FROM outbox_delivery d
    WHERE d.ordering_key IS NOT NULL AND d.state <> 'held' AND EXISTS (
        SELECT 1 FROM outbox_delivery before
        WHERE before.consumer = d.consumer AND before.ordering_key = d.ordering_key AND before.place < d.place)
    """,
)
invariant(
    "outbox.ordering_keys_kept",
    meaning="An ordering key has its row, with the place given out last, as long as something of it is unfinished",
    sql="""
    SELECT coalesce(o.consumer, d.consumer) || ' ' || coalesce(o.key, d.ordering_key) FROM outbox_ordering_key o
    FULL JOIN (SELECT consumer, ordering_key, max(place) AS place FROM outbox_delivery
               WHERE ordering_key IS NOT NULL GROUP BY 1, 2) d ON d.consumer = o.consumer AND d.ordering_key = o.key
    WHERE o.last IS NULL OR d.place IS NULL OR o.last < d.place
    """,
)
