"""Messages in. The outbox finds this module, and `events`, in every installed app."""

import json
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from django.conf import settings
from django.db.models import F

from newsletter.events import SendWelcome, Subscribed
from newsletter.models import Subscriber, Tally
from outbox.consumers import Incoming, consumer, external_consumer
from outbox.outcomes import Permanent, Transient


@consumer(Subscribed, name="newsletter.tally", batch=100)
def tally(event: Subscribed, message: Incoming) -> None:
    """Runs in the transaction that acknowledges the message: exactly once in effect."""
    day = message.created_at.date()
    Tally.objects.get_or_create(day=day, defaults={"subscribed": 0})
    Tally.objects.filter(day=day).update(subscribed=F("subscribed") + 1)


@dataclass(frozen=True)
class Letter:
    email: str
    key: str
    """The same for every attempt, so that the provider sends one letter however often it is asked."""


@external_consumer(SendWelcome, name="newsletter.send_welcome", destination="mail")
class Welcome:
    def prepare(self, command: SendWelcome, message: Incoming) -> Letter | None:
        """In a transaction: what shall be called; None when there is nothing to do."""
        subscriber = Subscriber.objects.get(id=command.subscriber_id)
        return None if subscriber.welcome else Letter(subscriber.email, key=str(message.id))

    def call(self, letter: Letter) -> str:
        """Outside any transaction, on a thread, without the database."""
        body = json.dumps({"to": letter.email, "template": "welcome"}).encode()
        request = Request(settings.MAIL_URL, body, {"Idempotency-Key": letter.key})
        try:
            with urlopen(request, timeout=10) as answer:
                return str(json.load(answer)["id"])
        except HTTPError as error:
            if error.code < 500:
                raise Permanent(f"The mail provider says {error.code}") from error  # a dead letter, for a person
            raise Transient(f"The mail provider says {error.code}", unknown=True) from error  # tried again
        except OSError as error:
            raise Transient(str(error), unknown=True) from error

    def record(self, command: SendWelcome, message: Incoming, letter: Letter, result: str) -> None:
        """In a transaction, only while the lease holds, together with the acknowledgement."""
        Subscriber.objects.filter(id=command.subscriber_id).update(welcome=result)
