"""Endpoints that fail: pauses, disabling with notice, probing, and none of it at the cost of others."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from orders import events
from outbox.invariants import verify
from outbox.models import AuditEntry, Delivery, Message, OrderingKey, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from outbox.webhooks import care, schedule
from tests.integration.webhooks.receiver import OK
from tests.integration.webhooks.test_endpoints import change

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M44")]
DAYS = timedelta(days=4)
DOWN = (500, {}, b"")


def age(endpoint: dict, by: timedelta) -> None:
    """Let an endpoint have been failing for longer."""
    row = WebhookEndpoint.objects.get()
    WebhookEndpoint.objects.update(failing_since=row.failing_since - by)


def notices() -> list[tuple[bool, str]]:
    told = Message.objects.filter(name="outbox.webhook_endpoint_changed").order_by("id")
    return [(message.payload["enabled"], message.payload["reason"]) for message in told]


def test_an_endpoint_that_failed_for_days_is_disabled_with_notice_probed_and_enabled_when_it_answers(
    hooked, receiver, served, passes
):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: DOWN
    hooked.happens(events.OrderConfirmed)
    served()
    age(endpoint, DAYS)
    passes()
    served()
    disabled = hooked.read(endpoint)
    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "failing")
    assert disabled["disabled_at"] is not None
    assert notices() == [(False, "failing")]
    until = datetime.fromisoformat(disabled["paused_until"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < until <= timedelta(hours=1)

    hooked.happens(events.OrderHeld, events.OrderCompleted)
    served()
    calls = len(receiver.got)
    assert hooked.states() == ["waiting"] * 3, "what happens meanwhile is kept for it"
    passes()
    served()
    assert len(receiver.got) == calls + 1, "one probe"
    assert WebhookDelivery.objects.order_by("id").first().attempts == 2, "which costs the event no attempt"

    receiver.answer = lambda number: OK
    passes()
    served()
    assert hooked.states() == ["succeeded"] * 3
    assert hooked.read(endpoint)["enabled"] is True
    assert notices() == [(False, "failing"), (True, "")]
    assert [v for v in verify() if v.violations] == []


def test_gone_is_gone(hooked, receiver, served, passes):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (410, {}, b"")
    hooked.happens(events.OrderConfirmed)
    served()
    assert hooked.read(endpoint)["disabled_reason"] == "gone"
    hooked.happens(events.OrderHeld)
    passes()
    served()
    assert len(receiver.got) == 1
    receiver.answer = lambda number: OK
    assert change(hooked.caller, endpoint, {"enabled": True}).status_code == 200
    passes()
    served()
    assert hooked.states() == ["succeeded"]


def test_pauses_grow_while_calls_fail_and_each_ends_with_one_call(hooked, receiver, served, passes):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: DOWN
    hooked.happens(*[events.OrderHeld] * 30)
    served()
    assert len(receiver.got) == schedule.FAILURES_UNTIL_PROBING
    pauses = []
    for _ in range(3):
        pauses.append(datetime.fromisoformat(hooked.read(endpoint)["paused_until"]) - datetime.now(UTC))
        before = len(receiver.got)
        WebhookEndpoint.objects.update(open_until=None, alarm_at=None)
        Delivery.objects.filter(state="scheduled").update(state="ready", due_at=None)
        served()
        assert len(receiver.got) == before + 1
    assert pauses[0] < pauses[1] < pauses[2]


def test_whoever_changes_an_endpoint_is_in_the_audit_log(hooked, receiver):
    endpoint = hooked.endpoint(receiver.url)
    change(hooked.caller, endpoint, {"enabled": False})
    entry = AuditEntry.objects.filter(action="change_webhook_endpoint").get()
    assert entry.actor.startswith("customer:cus_")
    assert (entry.before["enabled"], entry.after["enabled"]) == (True, False)


def test_a_turn_that_an_operator_took_away_is_found(hooked, receiver, served):
    hooked.endpoint(receiver.url)
    hooked.happens(events.OrderConfirmed)
    turn = Delivery.objects.get(consumer="outbox.webhooks")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    WebhookDelivery.objects.update(state="sending", turn=turn.message_id, due_at=long_ago)
    turn.delete()
    OrderingKey.objects.all().delete()
    care.look_after()
    served()
    assert hooked.states() == ["succeeded"]


def test_what_became_of_old_deliveries_is_forgotten(hooked, receiver, served):
    hooked.endpoint(receiver.url)
    hooked.happens(events.OrderConfirmed)
    hooked.happens(events.OrderHeld)
    served()
    oldest = WebhookDelivery.objects.order_by("id").first()
    WebhookDelivery.objects.filter(id=oldest.id).update(finished_at=datetime.now(UTC) - timedelta(days=31))
    care.look_after()
    assert oldest.id not in WebhookDelivery.objects.values_list("id", flat=True)
    assert (WebhookDelivery.objects.count(), WebhookAttempt.objects.count()) == (1, 1)


def test_ten_of_a_hundred_endpoints_hang_and_the_others_have_their_events_meanwhile(hooked, receivers, drain, settings):
    settings.WEBHOOK_ENDPOINTS = 200
    release = threading.Event()

    def hang(number: int):
        release.wait(20)
        return OK

    hanging, prompt = receivers(hang), receivers()
    for number in range(100):
        hooked.endpoint((hanging if number % 10 == 0 else prompt).url + f"/{number}")
    hooked.happens(events.OrderConfirmed, events.OrderHeld)
    began = time.monotonic()
    try:
        drain(until=lambda: len(prompt.got) == 180)
        assert WebhookDelivery.objects.filter(state="succeeded").count() >= 100
        assert len(hanging.got) == 10, "each of them holds one call"
        assert not release.is_set()
    finally:
        release.set()
    drain(until=lambda: WebhookDelivery.objects.filter(state="succeeded").count() == 200)
    assert time.monotonic() - began < 20, "nobody waited for a time-out"


def test_an_event_that_an_endpoint_wanted_and_never_got_is_found(hooked, receiver, served):
    hooked.endpoint(receiver.url)
    hooked.happens(events.OrderConfirmed)
    served()
    WebhookEndpoint.objects.update(offers_since=datetime.now(UTC) - timedelta(hours=1))
    assert [v.name for v in verify("orders.events") if v.violations] == []
    WebhookDelivery.objects.all().delete()
    assert [v.name for v in verify("orders.events") if v.violations] == ["orders.events_are_offered"]
