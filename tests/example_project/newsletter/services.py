from uuid import UUID

from newsletter.events import SendWelcome, Subscribed
from newsletter.models import Subscriber
from outbox.publishing import publish, require_unit_of_work, send


@require_unit_of_work
def subscribe(email: str) -> UUID:
    """Take a reader in: the row and both messages are committed together, or not at all."""
    subscriber = Subscriber.objects.create(email=email)
    publish(Subscribed(subscriber_id=subscriber.id))
    send(SendWelcome(subscriber_id=subscriber.id))
    return subscriber.id
