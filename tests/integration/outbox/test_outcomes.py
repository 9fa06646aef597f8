"""Outcomes that a handler returns, deadlines and classifications of its retry policy."""

from datetime import timedelta
from uuid import UUID

import pytest

from outbox.models import Attempt, Breaker, Delivery, Receipt
from outbox.operations import retry_dead_letter
from outbox.outcomes import Transient, permanent, retry_after, snooze
from outbox.publishing import unit_of_work
from tests.integration.outbox.asking import BENCH, ask, sql
from tests.lab.answers import Busy, Mail, OutOfPaper, Print, PrintMany, WrongAddress, answers, asked
from tests.lab.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M10")]
SOON = timedelta(milliseconds=50)


@pytest.fixture(autouse=True)
def _no_answers():
    answers.clear()
    asked.clear()


def pages(count: int, kind: type = Print) -> list[UUID]:
    return ask(*(kind(bench_id=BENCH, number=number) for number in range(count)))


def done(label: str) -> list[int]:
    return sorted(Effect.objects.filter(label=label).values_list("number", flat=True))


def attempts() -> list[tuple[str, str]]:
    return list(Attempt.objects.order_by("id").values_list("kind", "error"))


def left() -> list[tuple]:
    return list(Delivery.objects.values_list("state", "attempts", "waiting_for"))


@pytest.mark.requirement("M8")
@pytest.mark.parametrize("kind", [Print, PrintMany])
def test_one_of_a_batch_that_snoozes_leaves_nothing_while_its_neighbours_are_done_exactly_once(
    drain, invariants_hold, kind
):
    answers[4] = snooze(SOON, "no paper")
    ids = pages(8, kind)
    drain(until=lambda: Receipt.objects.filter(message_id__in=ids).count() == 7 and Delivery.objects.count() == 1)
    neighbours = [0, 1, 2, 3, 5, 6, 7]
    assert done("printed") == neighbours
    assert left() == [("scheduled", 0, "no paper")]
    assert attempts() == [], "waiting is no failure"
    answers.clear()
    drain()
    assert done("printed") == list(range(8))
    assert done("counted") == (list(range(8)) if kind is Print else [])
    assert Receipt.objects.get(message_id=ids[4]).attempts == 1


@pytest.mark.requirement("M8", "M13")
@pytest.mark.parametrize("kind", [Print, PrintMany])
def test_one_of_a_batch_that_cannot_be_done_is_a_dead_letter_without_effect(drain, invariants_hold, kind):
    answers[2] = permanent("the page is blank")
    ids = pages(5, kind)
    drain()
    assert done("printed") == [0, 1, 3, 4]
    assert list(Delivery.objects.values_list("message_id", "state", "last_error")) == [
        (ids[2], "dead", "Permanent: the page is blank")
    ]
    assert attempts() == [("permanent", "the page is blank")]


def test_a_pause_of_a_transactional_handler_is_recorded_and_burns_no_attempt(drain):
    answers[0] = retry_after(SOON, "the printer cools down")
    pages(1)
    drain(until=lambda: Attempt.objects.exists())
    answers.clear()
    drain()
    assert attempts()[0] == ("throttled", "the printer cools down")
    assert Receipt.objects.get(consumer="lab.print").attempts == 1


def test_an_answer_that_is_no_outcome_is_a_mistake_and_not_taken_for_done(drain):
    answers[0] = 7
    pages(1)
    drain()
    assert done("printed") == []
    assert [error for _, error in attempts()] == ["A handler returns None or an outcome (outbox.outcomes), not 7"] * 3


def mail(step: str) -> UUID:
    (message_id,) = ask(Mail(bench_id=BENCH, number=0, step=step))
    return message_id


def labels() -> list[str]:
    return list(Effect.objects.order_by("id").values_list("label", flat=True))


@pytest.mark.parametrize(
    ("step", "stays"),
    [
        ("prepare", []),
        ("call", ["prepared", "failed Permanent unknown=False final=True"]),
        ("record", ["prepared", "failed Permanent unknown=False final=True"]),
    ],
)
def test_each_step_of_a_call_may_answer_that_it_cannot_be_done(drain, invariants_hold, step, stays):
    answers[0] = permanent("no such town")
    mail(step)
    drain()
    assert labels() == stays
    assert asked == {0: 1}
    assert list(Delivery.objects.values_list("state", "last_error")) == [("dead", "Permanent: no such town")]


@pytest.mark.parametrize("step", ["prepare", "call", "record"])
def test_each_step_of_a_call_may_be_put_off(drain, invariants_hold, step):
    answers[0] = snooze(SOON, "the post is closed")
    mail(step)
    drain(until=lambda: left() == [("scheduled", 0, "the post is closed")])
    answers.clear()
    drain()
    assert labels().count("mailed") == 1
    assert Receipt.objects.get().attempts == 1


@pytest.mark.requirement("M11")
def test_the_pause_that_a_call_answers_holds_for_the_whole_destination(drain):
    answers[0] = retry_after(timedelta(seconds=30), "slow down")
    mail("call")
    drain(until=lambda: Attempt.objects.exists())
    ((pause,),) = sql("SELECT throttled_until - now() FROM outbox_breaker WHERE destination = 'lab_mail'")
    assert timedelta(seconds=10) < pause <= timedelta(seconds=30)
    assert (attempts(), left()) == ([("throttled", "slow down")], [("scheduled", 0, "slow down")])


@pytest.mark.requirement("M11", "M12")
@pytest.mark.parametrize(
    ("error", "kind", "failures", "hook"),
    [
        (WrongAddress("nowhere"), "permanent", 0, ["failed WrongAddress unknown=False final=True"]),
        (Busy("later"), "throttled", 0, []),
        (OutOfPaper("none left"), "transient", 1, ["failed OutOfPaper unknown=False final=False"]),
        (KeyError("what"), "transient", 1, ["failed KeyError unknown=True final=False"]),
    ],
)
def test_a_policy_says_how_errors_are_taken(drain, error, kind, failures, hook):
    answers[0] = error
    mail("call")
    drain(until=lambda: Attempt.objects.exists())
    assert Attempt.objects.earliest("id").kind == kind
    assert [label for label in labels() if label.startswith("failed")][:1] == hook
    breaker = Breaker.objects.get(destination="lab_mail")
    assert min(breaker.failures, 1) == failures, "only an outage speaks against the destination"
    assert (breaker.throttled_until is not None) is (kind == "throttled")


@pytest.mark.requirement("M13")
@pytest.mark.parametrize("answer", [snooze(timedelta(milliseconds=200), "no paper"), OutOfPaper("no paper")])
def test_what_would_be_tried_again_after_the_deadline_is_given_up_with_a_clear_cause(drain, invariants_hold, answer):
    answers[0] = answer
    (message_id,) = pages(1)
    sql("UPDATE outbox_delivery SET tried_since = now() - interval '1 hour'")
    drain()
    dead = Delivery.objects.get()
    assert (dead.message_id, dead.state, dead.waiting_for) == (message_id, "dead", "")
    last = Attempt.objects.latest("id")
    assert last.error == (
        f"It was first tried at {dead.tried_since:%F %T} UTC, and may be tried for 0:01:00 only. no paper"
    )
    assert last.kind == ("transient" if isinstance(answer, Exception) else "snoozed")
    assert done("printed") == []


def test_the_handler_of_a_call_is_told_that_the_deadline_made_this_the_last_attempt(drain):
    answers[0] = Transient("no answer", unknown=True)
    mail("call")
    sql("UPDATE outbox_delivery SET tried_since = now() - interval '1 hour'")
    drain()
    assert labels() == ["prepared", "failed Transient unknown=True final=True"]


def test_the_time_counts_from_the_beginning_of_the_first_attempt(drain):
    answers[0] = snooze(timedelta(seconds=30), "no paper")
    (before,) = sql("SELECT clock_timestamp()")
    pages(1)
    drain(until=lambda: left() == [("scheduled", 0, "no paper")])
    first = Delivery.objects.get().tried_since
    assert first is not None
    assert first > before[0] - timedelta(seconds=1)
    sql("UPDATE outbox_delivery SET due_at = now()")
    drain(until=lambda: asked[0] == 2 and left() == [("scheduled", 0, "no paper")])
    assert Delivery.objects.get().tried_since == first


def test_a_person_who_retries_gives_it_the_whole_time_again(drain):
    answers[0] = OutOfPaper("no paper")
    pages(1)
    drain()
    answers.clear()
    with unit_of_work():
        retry_dead_letter(Delivery.objects.get().id, "paper has come")
    assert Delivery.objects.get().tried_since is None
    drain()
    assert done("printed") == [0]
