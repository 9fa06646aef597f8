"""How an order's story, its causal tree and its time are put together."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from orders.staff_story import Held, Rows, reader_words, story_of, tree_of
from orders.staff_time import spent_of
from outbox.models import Attempt, AuditEntry, Delivery, Message, Receipt

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def message(name: str, seconds: float, *, kind: str = "event", cause: UUID | None = None, **payload) -> Message:
    return Message(
        id=uuid4(), name=name, kind=kind, payload=payload, created_at=at(seconds), causation_id=cause, actor="system"
    )


def receipt(of: Message, consumer: str, seconds: float, ms: int, attempts: int = 1) -> Receipt:
    return Receipt(
        message_id=of.id, consumer=consumer, finished_at=at(seconds), duration_ms=ms, attempts=attempts, outcome="done"
    )


def spent(rows: Rows, seconds: float) -> dict[str, float]:
    return {part.kind: round(part.seconds, 3) for part in spent_of(rows, start=START, end=at(seconds)).parts}


@pytest.mark.requirement("M34")
def test_the_story_is_told_in_order_of_time():
    asked = message("payments.authorise_payment", 0, kind="command")
    held = message("payments.payment_authorised", 2, amount="25.80", currency="EUR")
    audit = AuditEntry(id=uuid4(), at=at(1), actor="staff:ada", action="orders.cancel_order", reason="Asked to")
    rows = Rows(now=at(3), messages=[held, asked], audit=[audit])
    story = story_of(rows, placed_at=START, placed_by="Quay & Sons")
    assert [(entry.title, entry.text) for entry in story] == [
        ("Quay & Sons placed the order", "Answered at once over the API."),
        ("Asked the payment provider to hold the amount", ""),
        ("ada: cancel order", "Asked to"),
        ("Payment authorised: 25.80 EUR", ""),
    ]


def test_placing_comes_first_even_when_the_clocks_disagree():
    early = message("orders.order_placed", -0.05, lines=1, total="1.00", currency="EUR")
    story = story_of(Rows(now=at(1), messages=[early]), placed_at=START, placed_by="Quay")
    assert [entry.key for entry in story] == ["placed", f"m-{early.id}"]


def test_a_long_silence_is_told():
    late = message("payments.payment_authorised", 65)
    soon = message("orders.order_confirmed", 66)
    story = story_of(Rows(now=at(70), messages=[late, soon]), placed_at=START, placed_by="Quay")
    assert [entry.gap for entry in story] == ["", "1 min 5 s without news", ""]


def test_a_failure_is_told_with_its_cause_and_its_traceback():
    asked = message("payments.capture_payment", 0, kind="command")
    failed = Attempt(
        id=7,
        message_id=asked.id,
        consumer="payments.capture",
        number=2,
        kind="unknown",
        error_class="Transient",
        error="503 from the provider",
        traceback="Traceback …",
        duration_ms=40,
        at=at(1),
    )
    entry = story_of(Rows(now=at(2), messages=[asked], attempts=[failed]), placed_at=START, placed_by="Quay")[-1]
    assert entry.title == "Attempt 2 failed. The answer was lost: whether it worked is not known yet."
    assert entry.text == "Asked the payment provider to take the money: 503 from the provider"
    assert (entry.tone, entry.trace) == ("attention", "Traceback …")


def attempt(of: Message, number: int, seconds: float, error: str = "503") -> Attempt:
    return Attempt(
        id=number,
        message_id=of.id,
        consumer="payments.capture",
        number=number,
        kind="transient",
        error_class="outbox.outcomes.Transient",
        error=error,
        at=at(seconds),
    )


def test_the_same_failure_again_and_again_is_told_once():
    asked = message("payments.capture_payment", 0, kind="command")
    failures = [attempt(asked, 1, 1), attempt(asked, 2, 2), attempt(asked, 3, 3), attempt(asked, 4, 4, "timeout")]
    story = story_of(Rows(now=at(5), messages=[asked], attempts=failures), placed_at=START, placed_by="Quay")
    assert [entry.title for entry in story[2:]] == [
        "Attempts 1 to 3 failed. It did not work this time.",
        "Attempt 4 failed. It did not work this time.",
    ]
    assert (story[2].at, story[2].until) == (at(1), at(3))


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        ({"state": "ready"}, "In the queue: the next free worker takes it"),
        ({"state": "leased"}, "Waiting for the answer from outside"),
        ({"state": "dead", "attempts": 1}, "Given up after 1 attempt: an operator must look at it"),
        ({"state": "dead", "attempts": 8}, "Given up after 8 attempts: an operator must look at it"),
        (
            {"state": "scheduled", "attempts": 2, "due_at": at(12)},
            "Waiting to try again; next try in 12 s (attempt 3)",
        ),
    ],
)
def test_an_unfinished_message_says_what_it_waits_for(delivery, words):
    assert reader_words(Delivery(consumer="payments.capture", **delivery), Rows(now=START)).word == words


@pytest.mark.requirement("M41")
def test_a_message_behind_an_open_breaker_says_who_does_not_answer():
    rows = Rows(now=START, held={"payments.capture": Held("payments", at(6))})
    said = reader_words(Delivery(consumer="payments.capture", state="ready"), rows)
    assert (said.tone, said.word) == ("attention", "The payment provider does not answer; next try in 6 s")


def test_each_message_stands_under_the_one_that_caused_it():
    placed = message("orders.order_placed", 0)
    asked = message("payments.authorise_payment", 1, kind="command", cause=placed.id)
    held = message("payments.payment_authorised", 2, cause=asked.id)
    stray = message("fulfillment.follow_parcel", 3, kind="command", cause=uuid4())
    roots = tree_of(Rows(now=at(4), messages=[placed, asked, held, stray]))
    assert [node.id for node in roots] == [placed.id, stray.id]
    assert [child.id for child in roots[0].children] == [asked.id]
    assert [child.id for child in roots[0].children[0].children] == [held.id]


def test_time_is_split_into_queue_work_and_the_outside_and_adds_up():
    asked = message("payments.authorise_payment", 0, kind="command")
    done = message("payments.payment_authorised", 5)
    rows = Rows(
        now=at(10),
        messages=[asked, done],
        receipts=[receipt(asked, "payments.create_intent", 5, 2000), receipt(done, "orders.follow", 6, 500)],
        external=frozenset({"payments.create_intent"}),
    )
    assert spent(rows, 10) == {"work": 0.5, "party": 2.0, "queue": 3.5, "outside": 4.0}
    assert spent_of(rows, start=START, end=at(10)).total == 10.0


def test_waiting_after_a_failure_counts_as_waiting_to_try_again():
    asked = message("payments.authorise_payment", 0, kind="command")
    rows = Rows(now=at(4), messages=[asked], receipts=[receipt(asked, "payments.create_intent", 4, 1000, attempts=3)])
    assert spent(rows, 4) == {"work": 1.0, "retry": 3.0}


def test_what_overlaps_counts_once():
    asked = message("fulfillment.book_shipments", 0, kind="command")
    told = message("orders.order_confirmed", 0)
    rows = Rows(
        now=at(2),
        messages=[asked, told],
        receipts=[receipt(asked, "fulfillment.book_label", 2, 2000), receipt(told, "orders.tally", 2, 100)],
        external=frozenset({"fulfillment.book_label"}),
    )
    assert spent(rows, 2) == {"party": 2.0}


def test_a_message_that_was_given_up_does_not_count_as_queueing():
    asked = message("payments.capture_payment", 0, kind="command")
    assert spent(Rows(now=at(9), messages=[asked], deliveries=[dead(asked, 2)]), 9) == {"retry": 2.0, "person": 7.0}


def dead(of: Message, seconds: float, attempts: int = 8) -> Delivery:
    return Delivery(
        id=12,
        message_id=of.id,
        consumer="payments.capture",
        state="dead",
        attempts=attempts,
        last_error="No such card",
        enqueued_at=START,
        died_at=at(seconds),
    )


def operation(of: Message, verb: str, died: float, seconds: float) -> AuditEntry:
    before = {
        "message_id": str(of.id),
        "consumer": "payments.capture",
        "attempts": 1,
        "died_at": at(died).isoformat(),
        "error": "No such card",
    }
    return AuditEntry(
        id=uuid4(),
        at=at(seconds),
        actor="staff:ada",
        action=f"outbox.{verb}_dead_letter",
        subject="delivery:12",
        reason="The card is mended",
        before=before,
    )


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_the_wait_for_a_person_stays_one_after_the_person_acted(verb):
    asked = message("payments.capture_payment", 0, kind="command")
    done = receipt(asked, "payments.capture", 10, 0 if verb == "discard" else 1000)
    acted = operation(asked, verb, 1, 10 if verb == "discard" else 8)
    shares = spent(Rows(now=at(12), messages=[asked], receipts=[done], audit=[acted]), 10)
    assert shares == (
        {"queue": 1.0, "person": 9.0} if verb == "discard" else {"work": 1.0, "queue": 2.0, "person": 7.0}
    )


def test_a_message_that_was_given_up_is_told_at_the_time_it_was():
    asked = message("payments.capture_payment", 0, kind="command")
    rows = Rows(now=at(90), messages=[asked], deliveries=[dead(asked, 2, attempts=1)])
    entry = story_of(rows, placed_at=START, placed_by="Quay")[-1]
    assert (entry.at, entry.title, entry.text) == (
        at(2),
        "Given up after 1 attempt: an operator must look at it",
        "No such card",
    )


def test_what_an_operator_did_to_it_is_told_with_the_reason():
    asked = message("payments.capture_payment", 0, kind="command")
    rows = Rows(now=at(90), messages=[asked], audit=[operation(asked, "retry", 2, 4)])
    assert [(entry.at, entry.title, entry.text) for entry in story_of(rows, placed_at=START, placed_by="Quay")[2:]] == [
        (at(2), "Given up after 1 attempt", "No such card"),
        (at(4), "ada: retry dead letter", "The card is mended"),
    ]
