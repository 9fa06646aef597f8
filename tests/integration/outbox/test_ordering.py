"""Ordering keys: one delivery of a key at a time, in order of publication, and no other key waits for it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from outbox import housekeeping, operations, queue_views
from outbox.engine import queue, reaper, transactional
from outbox.engine.queue import claim
from outbox.models import AuditEntry, Delivery, OrderingKey, Receipt, Worker
from outbox.publishing import UnitOfWork, send, unit_of_work
from tests.integration.outbox.asking import ask, single, sql, states, tell
from tests.lab import ordered
from tests.lab.models import Effect
from tests.lab.ordered import Moved, Turn
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M14")]
A, B = uuid4(), uuid4()
WAITS_FOR_A_LOCK = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def turns(bench: UUID = A) -> list[int]:
    """The numbers of the turns that were taken, in the order in which they were."""
    return list(Effect.objects.filter(label=f"turn {bench}").order_by("id").values_list("number", flat=True))


def posted(town: str | None) -> list[int]:
    return list(Effect.objects.filter(label=f"post {town}").order_by("id").values_list("number", flat=True))


def turn(number: int, bench: UUID = A, behaviour: str = "") -> Turn:
    return Turn(bench_id=bench, number=number, behaviour=behaviour)


def places() -> list[tuple[int, str]]:
    return list(Delivery.objects.filter(ordering_key=str(A)).order_by("place").values_list("place", "state"))


def heads(bench: UUID) -> list[int]:
    return list(Delivery.objects.filter(ordering_key=str(bench), place=1).values_list("id", flat=True))


def only_the_dead_head_is_left() -> bool:
    return not Delivery.objects.exclude(state__in=["dead", "held"]).exists()


def test_only_the_head_of_a_key_can_be_claimed(transactional_db):
    ask(turn(1), turn(2), turn(3, B))
    with unit_of_work():
        assert [one.ordering_key for one in claim("lab.turn", 10)] == [str(A), str(B)]
    assert places() == [(1, "ready"), (2, "held")]


def test_the_messages_of_a_key_are_handled_in_order_of_publication(drain, invariants_hold):
    for number in range(25):
        ask(turn(number), turn(number, B))
    drain()
    assert (turns(A), turns(B)) == (list(range(25)), list(range(25)))
    assert not OrderingKey.objects.exists(), "the key goes with its last delivery"


def test_a_batch_takes_what_follows_its_heads_along(drain, statements, monkeypatch):
    monkeypatch.setattr(transactional, "BATCH_SECONDS", 60.0)
    ask(*(turn(number) for number in range(10)))
    statements.clear()
    drain()
    assert turns() == list(range(10))
    assert len([statement for statement in statements if "INSERT INTO outbox_receipt" in statement]) == 1


def test_the_message_that_fails_in_a_batch_holds_those_behind_it_and_not_those_before(drain, invariants_hold):
    ask(turn(1), turn(2), turn(3, behaviour="permanent"), turn(4), turn(1, B))
    drain(until=only_the_dead_head_is_left)
    assert (turns(A), turns(B)) == ([1, 2], [1])
    assert places() == [(3, "dead"), (4, "held")]


def test_a_head_that_waits_for_its_retry_holds_its_successors(drain, invariants_hold):
    ask(turn(1), turn(2), turn(1, B))
    sql("UPDATE outbox_delivery SET state = 'scheduled', due_at = now() + interval '1 h' WHERE id = ANY(%s)", heads(A))
    drain(until=lambda: turns(B) == [1])
    assert (places(), turns()) == ([(1, "scheduled"), (2, "held")], [])
    sql("UPDATE outbox_delivery SET due_at = now() WHERE state = 'scheduled'")
    drain()
    assert turns() == [1, 2]


def give_up_the_first(drain: Callable[..., None]) -> int:
    """Leave a dead head with two behind it; return the dead letter's id."""
    ask(turn(1, behaviour="permanent"), turn(2), turn(3))
    drain(until=only_the_dead_head_is_left)
    assert states() == ["dead", "held", "held"]
    return Delivery.objects.get(state="dead").id


def test_the_retry_of_a_dead_head_releases_its_successors_in_order(drain, invariants_hold):
    ordered.broken.add(1)
    ask(turn(1), turn(2), turn(3))
    drain(until=lambda: Delivery.objects.filter(state="dead").exists())
    assert states() == ["dead", "held", "held"]
    ordered.broken.clear()
    operations.each(operations.retry_dead_letter, operations.dead_letter_ids(), "mended")
    drain()
    assert turns() == [1, 2, 3]


def test_discarding_a_dead_head_releases_its_successors(drain, invariants_hold):
    operations.each(operations.discard_dead_letter, [give_up_the_first(drain)], "it is of no use")
    assert states() == ["ready", "held"]
    drain()
    assert turns() == [2, 3]


def test_a_delivery_that_is_done_already_releases_its_successor_when_it_is_dropped(drain, invariants_hold):
    first, _ = ask(turn(1), turn(2))
    sql("INSERT INTO outbox_receipt (message_id, consumer, attempts, duration_ms) VALUES (%s, 'lab.turn', 1, 1)", first)
    drain()
    assert turns() == [2]


def test_a_function_of_the_payload_may_be_the_key_and_none_asks_for_no_order(drain, invariants_hold):
    moves = [("Lisbon", 1), ("Porto", 2), (None, 3), ("Lisbon", 4), (None, 5)]
    tell(*(Moved(bench_id=uuid4(), number=number, town=town) for town, number in moves))
    posts = Delivery.objects.filter(consumer="lab.post").order_by("message_id")
    assert list(posts.values_list("ordering_key", "place", "state")) == [
        ("Lisbon", 1, "ready"),
        ("Porto", 1, "ready"),
        (None, None, "ready"),
        ("Lisbon", 2, "held"),
        (None, None, "ready"),
    ]
    drain()
    assert (posted("Lisbon"), posted("Porto"), sorted(posted(None))) == ([1, 4], [2], [3, 5])


def test_calls_of_a_key_are_made_one_after_the_other_and_each_consumer_has_its_own_order(drain, invariants_hold):
    ordered.broken.add(2)
    tell(*(Moved(bench_id=A, number=number, town="Lisbon") for number in range(1, 4)))
    drain(until=lambda: Delivery.objects.filter(state="dead").count() == 2)
    assert posted("Lisbon") == [1]
    ordered.broken.clear()
    dead = Delivery.objects.get(state="dead", consumer="lab.post")
    operations.each(operations.retry_dead_letter, [dead.id], "mended")
    drain(until=lambda: posted("Lisbon") == [1, 2, 3])
    assert list(Effect.objects.filter(label=f"track {A}").values_list("number", flat=True)) == [1]


def test_a_lease_that_runs_out_keeps_the_order(drain, invariants_hold):
    tell(*(Moved(bench_id=A, number=number, town="Lisbon") for number in (1, 2)))
    head = Delivery.objects.get(consumer="lab.post", place=1)
    with unit_of_work():
        queue.lease([head.id], uuid4())
    sql("UPDATE outbox_delivery SET lease_until = now() - interval '1 s' WHERE state = 'leased'")
    drain()
    assert posted("Lisbon") == [1, 2]


def test_the_death_of_a_worker_keeps_the_order(drain, invariants_hold):
    ask(turn(1), turn(2))
    everything = list(Delivery.objects.values_list("id", flat=True))
    Worker.objects.create(id=uuid4(), host="elsewhere", pid=1, lock=1, consumer="lab.turn", deliveries=everything)
    reaper.reap()
    assert list(Delivery.objects.order_by("id").values_list("state", "crashes")) == [("ready", 1), ("held", 0)]
    drain()
    assert turns() == [1, 2]


def at_once(*works: Callable[[], None]) -> None:
    """Do each in a thread of its own, all begun together; raise what any of them raised."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(begin, work) for work in works]:
            done.result()


def test_publishers_of_one_key_at_once_get_places_in_the_order_in_which_they_commit(transactional_db, invariants_hold):
    def publish_some() -> None:
        for number in range(20):
            ask(turn(number), turn(number, B))

    at_once(*[publish_some] * 4)
    for key in (A, B):
        rows = Delivery.objects.filter(ordering_key=str(key)).order_by("place").values_list("place", "state")
        assert list(rows) == [(place, "ready" if place == 1 else "held") for place in range(1, 81)]


def test_no_successor_is_missed_by_the_one_that_finishes_while_it_is_published(drain, invariants_hold):
    """The publisher has its place and has not committed when the worker is through with the head."""
    ask(turn(1))
    published = threading.Event()

    def publish_slowly() -> None:
        with unit_of_work() as unit:
            send(turn(2))
            unit.flush()
            published.set()
            eventually(lambda: sql(WAITS_FOR_A_LOCK) != [])

    with ThreadPoolExecutor(1) as pool:
        publisher = pool.submit(lambda: (publish_slowly(), connection.close()))
        assert published.wait(10)
        drain(until=lambda: turns() == [1, 2])
        publisher.result()


def test_workers_and_publishers_of_two_consumers_that_feed_each_other_do_not_deadlock(transactional_db):
    """Each transaction ends something of one key and publishes to another; all take their locks in one order."""

    def end_and_publish(mine: UUID, theirs: UUID) -> Callable[[], None]:
        def work() -> None:
            for number in range(30):
                with unit_of_work() as unit:
                    unit.ended.add(("lab.turn", str(mine)))
                    send(turn(number, theirs))

        return work

    ask(turn(0), turn(0, B))
    at_once(*[end_and_publish(A, B), end_and_publish(B, A)] * 2)
    assert Delivery.objects.count() == 122


def test_order_costs_two_statements_of_its_own_and_those_without_it_nothing(transactional_db, statements):
    ask(single(1), single(2))
    assert len(statements) == 1, "messages with their deliveries"
    statements.clear()
    ask(turn(1), turn(2), single(3))
    assert len(statements) == 3, "also the keys, and the deliveries that have one"


def test_what_was_left_without_a_head_is_found_and_released(drain, invariants_hold):
    """As a worker of a release leaves it that knows no order."""
    ask(turn(1), turn(2))
    sql("DELETE FROM outbox_delivery WHERE place = 1")
    assert states() == ["held"]
    housekeeping.release_stranded()
    assert states() == ["ready"]
    drain()
    assert turns() == [2]
    assert not OrderingKey.objects.exists()


def write_and_fail(unit: UnitOfWork) -> None:
    send(turn(1))
    unit.flush()
    raise ZeroDivisionError


def test_a_rollback_gives_the_place_back(drain, invariants_hold):
    with pytest.raises(ZeroDivisionError), unit_of_work() as unit:
        write_and_fail(unit)
    assert not OrderingKey.objects.exists()
    ask(turn(2))
    drain()
    assert turns() == [2]


def test_a_handler_that_continues_its_own_key_is_followed_by_what_was_published_before(drain, invariants_hold):
    ask(turn(1, behaviour="again"), turn(2))
    drain()
    assert turns() == [1, 2, 11]


def skip(delivery_id: int) -> str:
    (result,) = operations.each(operations.skip_delivery, [delivery_id], "the customer has left")
    return result.detail


def test_an_operator_can_skip_a_head_whatever_it_waits_for(drain, invariants_hold):
    ask(turn(1), turn(2), turn(3))
    sql("UPDATE outbox_delivery SET state = 'scheduled', due_at = now() + interval '1 h' WHERE state = 'ready'")
    assert skip(*heads(A)) == ""
    assert states() == ["ready", "held"]
    drain()
    assert turns() == [2, 3]
    assert Receipt.objects.filter(outcome="skipped").count() == 1
    assert AuditEntry.objects.get().action == "outbox.skip_delivery"


def test_what_is_held_or_has_no_key_or_is_in_hand_cannot_be_skipped(transactional_db, invariants_hold):
    ask(turn(1), turn(2), single())
    first, second, alone = Delivery.objects.order_by("ordering_key", "place").values_list("id", flat=True)
    assert skip(first) == f"Delivery {first} is ready: only what waits at the head can be skipped."
    assert skip(second) == f"Delivery {second} is held: only what waits at the head can be skipped."
    assert skip(alone) == f"Delivery {alone} has no ordering key: it holds nothing back."
    assert states() == ["ready", "ready", "held"]


@pytest.mark.requirement("M27")
def test_operators_see_what_a_delivery_is_blocked_behind_and_how_many_a_dead_one_holds_back(drain, admin_client):
    dead = give_up_the_first(drain)
    view = {delivery.id: delivery for delivery in queue_views.deliveries(None, None, 10)}
    assert view[dead].holds_back == 2
    held = [delivery for delivery in view.values() if delivery.id != dead]
    assert [(one.blocked_behind, one.head_state, one.holds_back) for one in held] == [(dead, "dead", 0)] * 2
    queue = admin_client.get("/admin/outbox/delivery/").content.decode()
    assert queue.count(f"blocked behind {dead} (dead letter)") == 2
    letter = admin_client.get(f"/admin/outbox/deadletter/{dead}/change/").content.decode()
    assert f"It holds back 2 of {A}, which lab.turn handles in order" in letter


@pytest.mark.requirement("M27")
def test_the_command_line_shows_the_order_and_skips(drain):
    dead = give_up_the_first(drain)

    def outbox(*arguments: object) -> str:
        out = StringIO()
        call_command("outbox", *map(str, arguments), stdout=out)
        return out.getvalue()

    assert outbox("list", "--state", "held").count(f"blocked behind {dead} (dead)") == 2
    assert "holds back 2; " in outbox("list", "--state", "dead")
    assert "Would skip 1" in outbox("skip", dead, "--reason", "gone", "--dry-run")
    assert "skip: 1 done, 0 not." in outbox("skip", dead, "--reason", "gone")
    assert states() == ["ready", "held"]


@pytest.mark.requirement("M27")
def test_a_dead_head_is_skipped_in_the_console_after_a_look_at_what_it_lets_go(drain, admin_client, invariants_hold):
    dead = give_up_the_first(drain)
    page = f"/admin/outbox/deadletter/{dead}/"
    assert "Lets go 2 messages of" in admin_client.get(f"{page}change/").content.decode()
    assert admin_client.get(f"{page}skip/", {"reason": "gone"}).status_code == 405
    admin_client.post(f"{page}skip/", {"reason": " "})
    assert Delivery.objects.filter(id=dead).exists()
    admin_client.post(f"{page}skip/", {"reason": "the customer has left"})
    assert states() == ["ready", "held"]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason) == ("outbox.skip_delivery", "staff:admin", "the customer has left")


@pytest.mark.requirement("M27")
def test_a_skip_needs_the_permission_and_the_pages_token(drain, client, django_user_model):
    dead = give_up_the_first(drain)
    skipping = f"/admin/outbox/deadletter/{dead}/skip/"
    client.force_login(django_user_model.objects.create_user("guest", is_staff=True))
    assert client.post(skipping, {"reason": "gone"}).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(django_user_model.objects.create_superuser("root"))
    assert strict.post(skipping, {"reason": "gone"}).status_code == 403
    assert Delivery.objects.get(id=dead).state == "dead"
