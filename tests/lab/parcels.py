"""A domain in two releases: what the second says, the first cannot read. LAB_RELEASE chooses the one that runs."""

import os
from decimal import Decimal
from typing import Any
from uuid import UUID

from outbox.consumers import Incoming, consumer
from outbox.contracts import Event, contract
from outbox.publishing import publish
from tests.lab.models import Effect

RELEASE = os.environ.get("LAB_RELEASE", "1")


def in_kilograms(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 1 told whole grams."""
    grams = payload["grams"]
    return {"bench_id": payload["bench_id"], "number": payload["number"], "kilograms": str(Decimal(grams) / 1000)}


if RELEASE == "1":

    @contract("lab.parcel_sent", version=1, owner="lab", aggregate="bench", key="bench_id")
    class ParcelSent(Event):
        """A parcel is on its way."""

        bench_id: UUID
        number: int
        grams: int

    @consumer(ParcelSent, name="lab.weigh", batch=20)
    def weigh(event: ParcelSent, message: Incoming) -> None:
        Effect.objects.create(message_id=message.id, label="weighed", number=event.number)

    def send_parcel(bench_id: UUID, number: int) -> UUID:
        """Publish as this release does."""
        return publish(ParcelSent(bench_id=bench_id, number=number, grams=number))

else:

    @contract("lab.parcel_sent", version=2, owner="lab", aggregate="bench", key="bench_id", upcasters={1: in_kilograms})
    class ParcelSent(Event):
        """A parcel is on its way."""

        bench_id: UUID
        number: int
        kilograms: Decimal

    @contract("lab.parcel_lost", version=1, owner="lab", aggregate="bench", key="bench_id")
    class ParcelLost(Event):
        """Nobody knows where it is. The first release does not know this either."""

        bench_id: UUID
        number: int

    @consumer(ParcelSent, ParcelLost, name="lab.weigh", batch=20)
    def weigh(event: ParcelSent | ParcelLost, message: Incoming) -> None:
        if isinstance(event, ParcelSent):
            assert event.kilograms * 1000 == event.number
        label = "weighed" if isinstance(event, ParcelSent) else "missed"
        Effect.objects.create(message_id=message.id, label=label, number=event.number)

    @consumer(ParcelSent, name="lab.insure")
    def insure(event: ParcelSent, message: Incoming) -> None:
        """Only the second release insures parcels."""
        Effect.objects.create(message_id=message.id, label="insured", number=event.number)

    def send_parcel(bench_id: UUID, number: int) -> UUID:
        """Publish as this release does; every fifth parcel is lost at once."""
        if number % 5 == 0:
            publish(ParcelLost(bench_id=bench_id, number=number))
        return publish(ParcelSent(bench_id=bench_id, number=number, kilograms=Decimal(number) / 1000))
