"""What happens to an order reaches the customer's own server: signed, once as far as we know, and until it has it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from orders import events
from outbox.invariants import verify
from outbox.models import Delivery, WebhookDelivery, WebhookEndpoint
from outbox.webhooks import schedule, sending
from tests.integration.webhooks.receiver import OK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M44")]
CONFIRMED, HELD, COMPLETED = events.OrderConfirmed, events.OrderHeld, events.OrderCompleted


def broken() -> list:
    return [verdict for verdict in verify() if verdict.violations]


def test_an_event_is_sent_signed_as_the_feed_shows_it(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    hooked.happens(CONFIRMED)
    served()
    ((headers, body),) = receiver.got
    sent = Webhook(endpoint["secret"]).verify(body, headers)
    assert sent == hooked.caller.get("events").json()["data"][0]
    assert headers["webhook-id"] == sent["id"]
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert headers["content-type"] == "application/json"
    (delivery,) = hooked.deliveries(endpoint)
    assert (delivery["status"], delivery["event"], delivery["cause"]) == ("succeeded", sent["id"], "event")
    assert [(a["number"], a["status"], a["error"], a["response_body"]) for a in delivery["attempts"]] == [
        (1, 200, None, "thanks")
    ]
    assert broken() == []


def test_another_secret_verifies_nothing(hooked, receiver, served):
    hooked.endpoint(receiver.url)
    other = hooked.endpoint("http://127.0.0.1:1/", events=["order.rejected"])
    hooked.happens(CONFIRMED)
    served()
    with pytest.raises(WebhookVerificationError):
        receiver.verified(other["secret"])


def test_only_chosen_types_are_sent_and_only_of_ones_own_orders(hooked, receiver, served, stranger):
    endpoint = hooked.endpoint(receiver.url, events=["order.completed", "order.on_hold"])
    stranger.post("webhook_endpoints", {"url": receiver.url, "events": ["*"]})
    hooked.happens(CONFIRMED, HELD)
    hooked.happens(COMPLETED)
    served()
    assert receiver.types(endpoint["secret"]) == ["order.on_hold", "order.completed"]


def test_a_server_that_fails_is_asked_again_by_the_schedule_and_gets_everything(hooked, receiver, served, passes):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (500, {}, b"sorry") if number < 4 else OK
    hooked.happens(CONFIRMED)
    served()
    for seconds in schedule.RETRY_SECONDS[:3]:
        (delivery,) = hooked.deliveries(endpoint)
        wait = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.now(UTC)
        assert delivery["status"] == "waiting"
        assert seconds * 0.9 - 30 <= wait.total_seconds() <= seconds * 1.1
        passes()
        served()
    (delivery,) = hooked.deliveries(endpoint)
    assert (delivery["status"], delivery["next_attempt_at"]) == ("succeeded", None)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500, 500, 200]
    assert delivery["attempts"][0]["response_body"] == "sorry"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert receiver.types(endpoint["secret"]) == ["order.confirmed"] * 4
    assert hooked.read(endpoint)["failing_since"] is None


def test_after_eight_attempts_it_is_given_up_and_can_be_asked_for_again(hooked, receiver, served, passes):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (503, {}, b"") if number <= 8 else OK
    hooked.happens(CONFIRMED)
    served()
    for _ in range(7):
        passes()
        served()
    (given_up,) = hooked.deliveries(endpoint)
    assert (given_up["status"], len(given_up["attempts"])) == ("failed", 8)
    again = hooked.caller.post(f"webhook_endpoints/{endpoint['id']}/deliveries/{given_up['id']}/redelivery")
    assert (again.status_code, again.json()["cause"]) == (202, "redelivery")
    passes()
    served()
    assert hooked.states() == ["failed", "succeeded"]
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {given_up["event"]}


def test_retry_after_is_heeded(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (429, {"Retry-After": "600"}, b"") if number == 1 else OK
    hooked.happens(CONFIRMED)
    served()
    hooked.happens(COMPLETED)
    served()
    assert len(receiver.got) == 1, "nothing is sent before the time it named"
    waits = datetime.fromisoformat(hooked.read(endpoint)["paused_until"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < waits <= timedelta(minutes=10)
    assert Delivery.objects.filter(consumer="outbox.wake_endpoints", state="scheduled").exists()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "A redirect, which is not followed."),
        ((404, {}, b""), "It answered 404."),
        ((201, {}, b""), None),
        ((204, {}, b""), None),
    ],
)
def test_only_2xx_counts_as_delivered_and_redirects_are_not_followed(hooked, receiver, served, answer, error):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: answer
    hooked.happens(CONFIRMED)
    served()
    (delivery,) = hooked.deliveries(endpoint)
    assert delivery["attempts"][0]["error"] == error
    assert delivery["status"] == ("waiting" if error else "succeeded")
    assert len(receiver.got) == 1


def test_of_a_long_answer_the_beginning_is_kept(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (200, {}, b"\0" + b"x" * 100_000)
    hooked.happens(CONFIRMED)
    served()
    (delivery,) = hooked.deliveries(endpoint)
    assert delivery["status"] == "succeeded"
    assert delivery["attempts"][0]["response_body"] == "\ufffd" + "x" * 4_095


def test_a_server_that_is_down_loses_nothing_and_gets_all_at_once_when_it_is_back(hooked, receiver, served, passes):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (500, {}, b"")
    for kind in (CONFIRMED, HELD, events.OrderResumed, COMPLETED):
        hooked.happens(kind)
        served()
    passes()
    served()
    down = hooked.read(endpoint)
    assert down["failing_since"] is not None
    assert down["paused_until"] is not None
    failed = len(receiver.got)
    assert failed < 8, "once it fails again and again one call at a time is enough to know"
    receiver.answer = lambda number: OK
    passes()
    served()
    assert hooked.states() == ["succeeded"] * 4
    assert hooked.read(endpoint)["failing_since"] is None
    assert len({headers["webhook-id"] for headers, _ in receiver.got[failed:]}) == 4
    assert broken() == []


def test_events_of_an_order_come_in_order_where_that_is_asked_for_and_others_do_not_wait(
    hooked, receiver, served, passes
):
    endpoint = hooked.endpoint(receiver.url, ordered=True)
    other = hooked.another_order()
    receiver.answer = lambda number: (500, {}, b"") if number == 1 else OK
    hooked.happens(CONFIRMED)
    hooked.happens(HELD)
    hooked.happens(CONFIRMED, order=other)
    served()
    hooked.happens(COMPLETED)
    served()
    seen = [(e["order"], e["type"]) for e in receiver.verified(endpoint["secret"])]
    first, second = f"ord_{hooked.order.hex}", f"ord_{other.hex}"
    assert seen == [(first, "order.confirmed"), (second, "order.confirmed")]
    passes()
    served()
    seen = [(e["order"], e["type"]) for e in receiver.verified(endpoint["secret"])]
    assert seen[2:] == [(first, "order.confirmed"), (first, "order.on_hold"), (first, "order.completed")]
    assert receiver.at_once == 1


def test_without_order_one_that_fails_keeps_no_other_waiting(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (500, {}, b"") if number == 1 else OK
    hooked.happens(CONFIRMED, HELD, COMPLETED)
    served()
    assert [d["status"] for d in hooked.deliveries(endpoint)] == ["waiting", "succeeded", "succeeded"]


def test_a_crowd_of_events_goes_out_in_a_few_turns_each_of_them_once(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    ids = [id_ for _ in range(6) for id_ in hooked.happens(*[HELD] * 15)]
    served()
    sent = [event["id"] for event in receiver.verified(endpoint["secret"])]
    assert sorted(sent) == sorted(f"evt_{id_.hex}" for id_ in ids)
    assert receiver.at_once <= 4


def test_a_worker_that_dies_between_call_and_record_sends_the_same_again(hooked, receiver, served, monkeypatch):
    endpoint = hooked.endpoint(receiver.url)
    hooked.happens(CONFIRMED)
    turn = Delivery.objects.get(consumer="outbox.webhooks").message_id
    WebhookDelivery.objects.update(state="sending", turn=turn)
    served()
    assert hooked.states() == ["succeeded"]
    assert receiver.types(endpoint["secret"]) == ["order.confirmed"]


def test_an_answer_that_drips_is_given_up_in_time(hooked, receivers, served, monkeypatch):
    monkeypatch.setattr("outbox.webhooks.sending.TOTAL_SECONDS", 0.4)
    monkeypatch.setattr(sending, "_client", sending._client.__wrapped__)
    slow = receivers(lambda number: (200, {"Content-Length": "1000"}, b"x"))
    endpoint = hooked.endpoint(slow.url)
    hooked.happens(CONFIRMED)
    served()
    (delivery,) = hooked.deliveries(endpoint)
    assert delivery["status"] == "waiting"
    assert delivery["attempts"][0]["error"].startswith("No answer: ")


def test_the_body_is_json_of_one_event(hooked, receiver, served):
    hooked.endpoint(receiver.url)
    hooked.happens(CONFIRMED)
    served()
    assert json.loads(receiver.got[0][1])["object"] == "event"
    assert WebhookEndpoint.objects.get().failures == 0
