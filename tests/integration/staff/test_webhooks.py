"""Customers' webhook endpoints on the staff's pages."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from outbox.models import AuditEntry, Message, WebhookAttempt, WebhookDelivery, WebhookEndpoint

pytestmark = pytest.mark.requirement("M44", "M45")


@pytest.fixture
def endpoint(shop) -> str:
    made = shop.post("webhook_endpoints", {"url": "https://hooks.example.com/in", "events": ["*"]})
    return made.json()["id"]


@pytest.fixture
def delivery(endpoint) -> WebhookDelivery:
    row = WebhookEndpoint.objects.get()
    made = WebhookDelivery.objects.create(
        endpoint=row, event_id=uuid4(), event_type="order.completed", cause="event", state="failed", attempts=1
    )
    WebhookAttempt.objects.create(
        delivery=made, number=1, at=datetime.now(UTC), duration_ms=12, status=500, error="It answered 500.",
        answer="<img src=x onerror=alert(1)>",
    )  # fmt: skip
    return made


def page(client, path: str) -> str:
    answer = client.get(f"/staff/webhooks/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_list_says_how_endpoints_come_about(viewer):
    assert "No endpoints yet" in page(viewer, "")


def test_the_list_shows_whose_endpoints_they_are_and_how_they_do(viewer, endpoint):
    assert "Quay &amp; Sons" in page(viewer, "")
    assert "Working" in page(viewer, "")
    assert "No endpoint is in trouble" in page(viewer, "?show=trouble")
    WebhookEndpoint.objects.update(failures=1, last_error="It answered 500.")
    assert "It answered 500." in page(viewer, "?show=trouble")
    assert "hooks.example.com" in page(viewer, "?q=quay")
    assert "None like that" in page(viewer, "?q=nobody")


def test_an_endpoint_shows_its_deliveries_with_every_attempt(viewer, endpoint, delivery):
    html = page(viewer, f"{endpoint}/")
    assert "order.completed" in html
    assert "It answered 500." in html
    assert "<img src=x" not in html, "what a receiver answers is text"
    assert "None in this state" in page(viewer, f"{endpoint}/?state=succeeded")


def test_an_endpoint_that_is_not_there_is_not_found(viewer, endpoint):
    for id_ in ("x", f"whk_{uuid4().hex}"):
        assert viewer.get(f"/staff/webhooks/{id_}/").status_code == 404


def test_an_operator_stops_and_starts_it_with_a_reason(operator, endpoint):
    address = f"/staff/webhooks/{endpoint}/state/"
    operator.post(address, {"enabled": "no", "reason": ""})
    assert WebhookEndpoint.objects.get().enabled
    operator.post(address, {"enabled": "no", "reason": "Their server moves"})
    assert WebhookEndpoint.objects.get().disabled_reason == "staff"
    operator.post(address, {"enabled": "yes", "reason": "It has moved"})
    assert WebhookEndpoint.objects.get().enabled
    entries = AuditEntry.objects.filter(action="change_webhook_endpoint").order_by("id")
    assert [(entry.actor, entry.reason) for entry in entries] == [
        ("staff:ada", "Their server moves"),
        ("staff:ada", "It has moved"),
    ]


def test_an_operator_sends_an_event_again(operator, endpoint, delivery):
    html = page(operator, f"{endpoint}/")
    assert "Send order.completed again" in html
    address = f"/staff/webhooks/{endpoint}/deliveries/whd_{delivery.id.hex}/redelivery/"
    assert operator.post(address, follow=True).status_code == 200
    again = WebhookDelivery.objects.exclude(id=delivery.id).get()
    assert (again.cause, again.event_id, again.state) == ("redelivery", delivery.event_id, "waiting")


def test_an_operator_replays_the_last_hours(operator, endpoint):
    operator.post(f"/staff/webhooks/{endpoint}/replay/", {"hours": "0"})
    assert not Message.objects.filter(name="outbox.replay_endpoint").exists()
    operator.post(f"/staff/webhooks/{endpoint}/replay/", {"hours": "24"})
    assert Message.objects.filter(name="outbox.replay_endpoint").count() == 1


def test_a_viewer_looks_and_changes_nothing(viewer, endpoint, delivery):
    assert "Your account may look but not change." in page(viewer, f"{endpoint}/")
    for path, form in [
        ("state/", {"enabled": "no", "reason": "Because"}),
        ("replay/", {"hours": "1"}),
        (f"deliveries/whd_{delivery.id.hex}/redelivery/", {}),
    ]:
        assert viewer.post(f"/staff/webhooks/{endpoint}/{path}", form).status_code == 403
    assert WebhookEndpoint.objects.get().enabled
    assert WebhookDelivery.objects.count() == 1
