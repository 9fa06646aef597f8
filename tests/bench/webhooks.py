"""Webhook deliveries: signed, address-checked and recorded, against a bare loop of calls of the same receiver."""

import socket
import time
from uuid import UUID, uuid4

import httpx
import msgspec
from django.conf import settings
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from config.runtime.ports import free_port
from orders.models import Customer, PublicEvent
from orders.serializers import event_object
from outbox import control
from outbox.commands import ServeEndpoint
from outbox.models import WebhookDelivery
from outbox.publishing import send, unit_of_work
from outbox.webhooks import endpoints
from tests.bench.measuring import Result, Row, Samples, result_of, running, take_turns, wait_until

EVENTS = 3_000
BARE_CALLS = 2_000
LOOPBACK = ["127.0.0.0/8"]
CONSUMER = "outbox.webhooks"
ROWS = (Row("webhooks", "deliveries/s", "webhooks", ">= 0.4", "bare_client"),)


def webhooks() -> list[Result]:
    """Measure it, with two workers and one receiver standing ready."""
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    url = f"http://127.0.0.1:{free_port()}/hooks"
    port = httpx.URL(url).port or 0
    workers = {"TANDEM_WORKERS": "2", "WEBHOOK_ALLOWED_NETWORKS": ",".join(LOOPBACK)}
    with (
        running(["-m", "tests.bench.webhook_receiver", str(port)]),
        running(["-m", "django", "qcluster"], **workers),
    ):
        wait_until(lambda: listens(port), what="the receiver")
        rounds = take_turns({"webhooks": lambda: deliver(url), "bare_client": lambda: call(url)})
    return [result_of(row, rounds) for row in ROWS]


def listens(port: int) -> bool:
    """Tell whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def deliver(url: str) -> Samples:
    """Let EVENTS lie in wait for one endpoint; return how many a second were delivered, from first to last."""
    endpoint = prepare(url)
    with unit_of_work():
        control.resume([CONSUMER], "benchmark")
        send(ServeEndpoint(endpoint_id=endpoint))
    left = WebhookDelivery.objects.exclude(state="succeeded")
    wait_until(lambda: not left.exists(), what="the last delivery", every=0.05)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM (SELECT max(finished_at) FROM outbox_webhookdelivery)"
            " - (SELECT min(at) FROM outbox_webhookattempt))::float8"
        )
        (seconds,) = cursor.fetchone()
    return {"webhooks": EVENTS / seconds}


def prepare(url: str) -> UUID:
    """Begin with one endpoint, and a feed that it has got nothing of; workers keep their hands off."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE outbox_webhookendpoint, outbox_webhookdelivery, outbox_webhookattempt")
        cursor.execute("TRUNCATE orders_publicevent")
    customer = Customer.objects.create(name="Bench")
    with unit_of_work():
        control.pause([CONSUMER], "benchmark")
        made, _ = endpoints.create(customer.id, endpoints.Wish(url=url, events=["*"]))
    events = [event(customer.id, number) for number in range(1, EVENTS + 1)]
    PublicEvent.objects.bulk_create(events, batch_size=500)
    WebhookDelivery.objects.bulk_create(
        (
            WebhookDelivery(
                id=uuid7(),
                endpoint_id=made.id,
                event_id=one.id,
                event_type=one.type,
                cause="event",
            )
            for one in events
        ),
        batch_size=500,
    )
    return made.id


def event(customer_id: UUID, number: int) -> PublicEvent:
    return PublicEvent(
        id=uuid7(), customer_id=customer_id, order_id=uuid4(), type="order.placed", version=1, sequence=1,
        position=number, occurred_at=timezone.now(), created_at=timezone.now(),
        data={"reference": None, "total": {"amount": "25.80", "currency": "EUR"}, "lines": 1},
    )  # fmt: skip


def call(url: str) -> Samples:
    """Post the same body again and again over one kept connection."""
    body = msgspec.json.encode(event_object(PublicEvent.objects.all()[0]))
    with httpx.Client(trust_env=False) as client:
        started = time.perf_counter()
        for _ in range(BARE_CALLS):
            client.post(url, content=body, headers={"content-type": "application/json"}).raise_for_status()
        return {"bare_client": BARE_CALLS / (time.perf_counter() - started)}
