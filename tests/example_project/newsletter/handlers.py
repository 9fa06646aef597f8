"""Messages in. The outbox finds this module, and `events`, in every installed app."""

import json
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.db.models import F

from newsletter.events import SendWelcome, Subscribed
from newsletter.models import Subscriber, Tally
from outbox.consumers import Incoming, consumer, external_consumer
from outbox.http import AnswerMissing, Client, NeverSent
from outbox.outcomes import NotDone, Transient, permanent


@consumer(Subscribed, name="newsletter.tally", batch=100)
def tally(event: Subscribed, message: Incoming) -> None:
    """Runs in the transaction that acknowledges the message: exactly once in effect."""
    day = message.created_at.date()
    Tally.objects.get_or_create(day=day, defaults={"subscribed": 0})
    Tally.objects.filter(day=day).update(subscribed=F("subscribed") + 1)


@cache
def mail() -> Client:
    """Made by the process that uses it: its connections do not survive a fork."""
    return Client(settings.MAIL_URL)


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

    def call(self, letter: Letter) -> str | NotDone:
        """Outside any transaction, on a thread, without the database."""
        sent = {"to": letter.email, "template": "welcome"}
        try:
            answer = mail().exchange("POST", "", json=sent, headers={"Idempotency-Key": letter.key})
        except (NeverSent, AnswerMissing) as error:
            raise Transient(str(error), unknown=isinstance(error, AnswerMissing)) from error  # tried again
        if answer.status >= 500:
            raise Transient(f"The mail provider says {answer.status}", unknown=True)
        if answer.status >= 400:
            return permanent(f"The mail provider says {answer.status}")  # a dead letter, for a person
        return str(json.loads(answer.body)["id"])

    def record(self, command: SendWelcome, message: Incoming, letter: Letter, result: str) -> None:
        """In a transaction, only while the lease holds, together with the acknowledgement."""
        Subscriber.objects.filter(id=command.subscriber_id).update(welcome=result)
