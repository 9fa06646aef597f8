"""The carrier's HTTP interface, spoken by the words of carriers.base."""

import os
import threading
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from django.conf import settings

from fulfillment.carriers.base import Label, LabelRefused, LabelRequest, LabelVoided, ParcelCollected
from outbox.http import Answer, AnswerMissing, Client, NeverSent
from outbox.outcomes import Permanent, Throttled, Transient

DEFAULT_PAUSE_SECONDS = 5.0


class LabelDocument(msgspec.Struct):
    """A label as the carrier writes it; what we do not use is left out."""

    id: str
    tracking_number: str
    label_url: str
    status: str

    def label(self) -> Label:
        """Return it in our words."""
        return Label(
            id=self.id, tracking_number=self.tracking_number, url=self.label_url, voided=self.status == "voided"
        )


class LabelList(msgspec.Struct):
    """The labels of one parcel."""

    data: list[LabelDocument]


class ErrorDetail(msgspec.Struct):
    """Why the carrier did not do it."""

    code: str = ""
    message: str = ""


class ErrorDocument(msgspec.Struct):
    """An error as the carrier writes it."""

    error: ErrorDetail = msgspec.field(default_factory=ErrorDetail)


T = TypeVar("T")


class HttpCarrier:
    """A Carrier over HTTP. Safe to share between threads; connections are kept."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def book(self, request: LabelRequest) -> Label | LabelRefused:
        """Get the parcel's label. Raises Transient, Throttled or Permanent."""
        booking = {
            "shipment": request.shipment,
            "order": request.order,
            "warehouse": request.warehouse,
            "recipient": dict(request.recipient),
            "parcels": [{"weight_grams": request.weight_grams}],
        }
        headers = {"Idempotency-Key": request.idempotency_key}
        answer = self._ask("POST", "/v1/labels", json=booking, headers=headers)
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return _refusal(answer)
        return _read(_expect(answer, HTTPStatus.OK, HTTPStatus.CREATED), LabelDocument).label()

    def find(self, shipment: str) -> Label | None:
        """Return the parcel's label, a standing one before a voided one. Raises Transient, Throttled or Permanent."""
        answer = self._ask("GET", "/v1/labels", params={"shipment": shipment})
        labels = [document.label() for document in _read(_expect(answer, HTTPStatus.OK), LabelList).data]
        return min(labels, key=lambda label: label.voided, default=None)

    def void(self, label_id: str) -> LabelVoided | ParcelCollected:
        """Take the label back. Raises Transient, Throttled or Permanent."""
        answer = self._ask("POST", f"/v1/labels/{label_id}/void")
        if answer.status == HTTPStatus.CONFLICT and _error(answer).code == "already_collected":
            return ParcelCollected()
        _read(_expect(answer, HTTPStatus.OK), LabelDocument)
        return LabelVoided()

    def _ask(self, method: str, path: str, **request: Any) -> Answer:
        try:
            return self._client.exchange(method, path, **request)
        except NeverSent as error:
            raise Transient(f"The carrier cannot be reached: {error}") from error
        except AnswerMissing as error:
            raise Transient(f"The carrier's answer is missing: {error}", unknown=True) from error


def _expect(answer: Answer, *statuses: HTTPStatus) -> Answer:
    """Return the answer when it is one of `statuses`; else raise what the status means."""
    if answer.status in statuses:
        return answer
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled("The carrier asks for a pause.", retry_after=_pause(answer))
    said = f"The carrier answered {answer.status} {_error(answer).code}".rstrip()
    if answer.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT) or not 400 <= answer.status < 500:
        raise Transient(said, unknown=True)
    raise Permanent(f"{said}: {_error(answer).message}")


def _refusal(answer: Answer) -> LabelRefused:
    error = _error(answer)
    if not error.code:
        raise Transient("The carrier refused without saying why.", unknown=True)
    if error.code == "idempotency_key_reused":
        raise Permanent("The carrier knows this parcel's key from another request.")
    return LabelRefused(error.code, error.message)


def _pause(answer: Answer) -> float:
    try:
        return max(float(answer.headers.get("retry-after", "")), 0.0)
    except ValueError:
        return DEFAULT_PAUSE_SECONDS  # absent, or a date: a short pause of our own, and the carrier may say so again


def _error(answer: Answer) -> ErrorDetail:
    try:
        return msgspec.json.decode(answer.body, type=ErrorDocument).error
    except msgspec.DecodeError:
        return ErrorDetail()  # an error page that is not the carrier's own: its status says enough


def _read(answer: Answer, document: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=document)
    except msgspec.DecodeError as error:
        raise Transient(f"The carrier's answer cannot be read: {error}", unknown=True) from error


_made: dict[int, HttpCarrier] = {}
_making = threading.Lock()


def configured_carrier() -> HttpCarrier:
    """Return this process's adapter to the carrier of the settings."""
    with _making:
        if os.getpid() not in _made:
            _made.clear()
            headers = {"Authorization": f"Bearer {settings.CARRIER_API_KEY}", "User-Agent": "tandem"}
            _made[os.getpid()] = HttpCarrier(Client(settings.CARRIER_API_BASE, headers=headers))
        return _made[os.getpid()]
