"""The carrier over HTTP: against the sandbox as a process, and against a peer that misbehaves."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Thread
from uuid import uuid4

import pytest

from fulfillment.carriers.base import Label, LabelRefused, LabelRequest, LabelVoided, ParcelCollected
from fulfillment.carriers.http import HttpCarrier, configured_carrier
from fulfillment.references import order_reference, shipment_reference
from outbox.errors import TransactionOpen
from outbox.http import Client
from outbox.outcomes import Permanent, Throttled, Transient
from outbox.publishing import unit_of_work
from tests.sandboxes.processes import CARRIER_KEY, Receiver, carrier_sandbox, eventually

LABEL = {"id": "lbl_1", "tracking_number": "TC1", "status": "ready", "label_url": "http://carrier/lbl_1"}


def request(postal_code: str = "1100-148") -> LabelRequest:
    shipment_id = uuid4()
    return LabelRequest(
        shipment=shipment_reference(shipment_id),
        order=order_reference(uuid4()),
        warehouse="LIS",
        recipient={"name": "A. Reader", "line1": "1 Quay", "city": "Lisbon", "postal_code": postal_code},
        weight_grams=500,
        idempotency_key=f"label:{shipment_id}",
    )


@contextmanager
def speaking_to(url: str, key: str = CARRIER_KEY, **options: float) -> Iterator[HttpCarrier]:
    client = Client(url, headers={"Authorization": f"Bearer {key}"}, **options)
    try:
        yield HttpCarrier(client)
    finally:
        client.close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[str]:
    receiver = Receiver()
    receiver.start()
    running = carrier_sandbox(tmp_path_factory.mktemp("carrier"), receiver.url)
    running.start()
    yield running.url
    running.stop()
    receiver.stop()


@pytest.fixture(scope="module")
def real(sandbox) -> Iterator[HttpCarrier]:
    with speaking_to(sandbox) as carrier:
        yield carrier


def test_a_booking_brings_a_label_and_its_repetition_the_same_one(real):
    wanted = request()
    first, second = real.book(wanted), real.book(wanted)
    assert isinstance(first, Label)
    assert first == second == real.find(wanted.shipment)
    assert first.tracking_number.startswith("TC")
    assert not first.voided


def test_racing_repetitions_of_a_booking_make_one_label(real):
    wanted = request()
    with ThreadPoolExecutor(16) as pool:
        labels = set(pool.map(real.book, [wanted] * 32))
    assert len(labels) == 1


def test_a_parcel_without_a_label_is_found_to_have_none(real):
    assert real.find(shipment_reference(uuid4())) is None


def test_an_address_that_nobody_serves_is_refused_as_a_value(real):
    refused = real.book(request(postal_code="00000"))
    assert refused == LabelRefused("undeliverable_address", "No carrier route serves this postal code.")


def test_a_label_is_voided_however_often_it_is_asked(real):
    wanted = request()
    label = real.book(wanted)
    assert real.void(label.id) == real.void(label.id) == LabelVoided()
    found = real.find(wanted.shipment)
    assert found is not None
    assert found.voided


def test_a_collected_parcel_is_too_late_to_void(real):
    label = real.book(request())
    collected = eventually(lambda: real_status(real, label.id) == "collected")
    assert collected
    assert real.void(label.id) == ParcelCollected()


def real_status(carrier: HttpCarrier, label_id: str) -> str:
    return json.loads(carrier._client.exchange("GET", f"/v1/labels/{label_id}").body)["status"]


def test_a_wrong_key_is_for_a_person_to_mend(sandbox):
    with speaking_to(sandbox, key="wrong") as carrier, pytest.raises(Permanent, match="401 invalid_api_key"):
        carrier.book(request())


def test_a_key_that_belongs_to_another_request_is_for_a_person_to_mend(real):
    wanted = request()
    real.book(wanted)
    other = LabelRequest(**{f: getattr(wanted, f) for f in wanted.__slots__} | {"weight_grams": 1})
    with pytest.raises(Permanent, match="another request"):
        real.book(other)


@pytest.mark.django_db(transaction=True)
def test_the_carrier_is_not_called_while_a_transaction_is_open(real):
    with unit_of_work(), pytest.raises(TransactionOpen):
        real.find("shp_1")


Script = Callable[[socket.socket], None]


@contextmanager
def peer(script: Script) -> Iterator[str]:
    """A server that reads a request's head and then does what `script` says to the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = True

        def serve() -> None:
            while running:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        script(connection)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = False
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answering(status: str, body: bytes = b"", headers: str = "") -> Script:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def dripping(connection: socket.socket) -> None:
    with suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)


@pytest.mark.requirement("M10")
@pytest.mark.parametrize(
    "script",
    [
        answering("500 Oops"),
        answering("503 Busy", b"<html>busy</html>"),
        answering("302 Found", headers="Location: http://127.0.0.1:9/\r\n"),
        answering("200 OK", json.dumps(LABEL).encode()[:20]),
        answering("200 OK", b"[]"),
        answering("200 OK", b"x" * 70_000),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        lambda connection: None,
        lambda connection: connection.sendall(b"nonsense\r\n\r\n"),
        answering("408 Slow"),
        answering("409 Conflict", b'{"error": {"code": "idempotency_key_in_use"}}'),
    ],
    ids=["500", "503", "redirect", "truncated", "other", "huge", "cut", "closed", "nonsense", "408", "409"],
)
def test_an_answer_that_tells_nothing_leaves_the_outcome_unknown(script):
    with peer(script) as url, speaking_to(url) as carrier, pytest.raises(Transient) as raised:
        carrier.book(request())
    assert raised.value.unknown


def test_a_peer_that_drips_is_given_up_after_the_total_time():
    with peer(dripping) as url, speaking_to(url, total_seconds=0.5) as carrier:
        started = time.monotonic()
        with pytest.raises(Transient, match="ReadTimeout") as raised:
            carrier.book(request())
    assert raised.value.unknown
    assert time.monotonic() - started < 1.5


def test_a_carrier_that_cannot_be_reached_did_surely_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with speaking_to(url) as carrier, pytest.raises(Transient) as raised:
        carrier.book(request())
    assert not raised.value.unknown


@pytest.mark.requirement("M11")
@pytest.mark.parametrize(
    ("header", "seconds"), [("Retry-After: 7\r\n", 7.0), ("", 5.0), ("Retry-After: soon\r\n", 5.0)]
)
def test_a_pause_is_taken_from_the_carriers_own_word(header, seconds):
    slow = peer(answering("429 Slow down", headers=header))
    with slow as url, speaking_to(url) as carrier, pytest.raises(Throttled) as raised:
        carrier.book(request())
    assert raised.value.retry_after == seconds


def test_a_void_that_conflicts_for_another_reason_is_no_collection():
    busy = peer(answering("409 Conflict", b'{"error": {"code": "busy"}}'))
    with busy as url, speaking_to(url) as carrier, pytest.raises(Transient):
        carrier.void("lbl_1")


def test_a_standing_label_is_found_before_a_voided_one():
    both = {"data": [LABEL | {"id": "lbl_0", "status": "voided"}, LABEL]}
    with peer(answering("200 OK", json.dumps(both).encode())) as url, speaking_to(url) as carrier:
        assert carrier.find("shp_1").id == "lbl_1"


@pytest.mark.requirement("M7")
def test_connections_are_reused_and_the_adapter_is_made_once(sandbox, settings):
    settings.CARRIER_API_BASE, settings.CARRIER_API_KEY = sandbox, CARRIER_KEY
    carrier = configured_carrier()
    assert carrier is configured_carrier()
    opened = 0
    accepted: list[socket.socket] = []

    def keep_alive(connection: socket.socket) -> None:
        accepted.append(connection)
        body = json.dumps({"data": []}).encode()
        for _ in range(3):
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            if not connection.recv(65_536):
                return

    with peer(keep_alive) as url, speaking_to(url) as patient:
        for _ in range(3):
            assert patient.find("shp_1") is None
        opened = len(accepted)
    assert opened == 1
