"""The engine's own consumers: what is sent to webhook endpoints."""

from django.contrib.postgres.functions import TransactionNow

from outbox.commands import ReplayEndpoint, ServeEndpoint, WakeEndpoint
from outbox.consumers import Incoming, by_aggregate, consumer, external_consumer
from outbox.destinations import Destination
from outbox.models import WebhookEndpoint
from outbox.publishing import send
from outbox.webhooks import offering
from outbox.webhooks.serving import Serve

ENDPOINTS = Destination("webhook_endpoints", concurrency=None, retry_budget=None)
"""All endpoints together: each has its own pauses and its own schedule (outbox/webhooks/health.py)."""

external_consumer(ServeEndpoint, name="outbox.webhooks", destination=ENDPOINTS, order_by=by_aggregate)(Serve)


@consumer(WakeEndpoint, name="outbox.wake_endpoints", batch=50)
def wake(command: WakeEndpoint, message: Incoming) -> None:
    """Have an endpoint served whose time has come."""
    WebhookEndpoint.objects.filter(id=command.endpoint_id, alarm_at__lte=TransactionNow()).update(alarm_at=None)
    send(ServeEndpoint(endpoint_id=command.endpoint_id))


@consumer(ReplayEndpoint, name="outbox.replay_endpoints", batch=1)
def replay(command: ReplayEndpoint, message: Incoming) -> None:
    """Hand out the next portion of a replay."""
    offering.go_on_replaying(command)
