"""HTTP to the provider: bounded in time and size, and it knows whether anything was sent."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import stripe

from outbox.errors import TransactionOpen
from outbox.outcomes import Throttled, Transient
from outbox.publishing import unit_of_work
from payments.gateways.stripe import StripeGateway
from payments.gateways.transport import BoundedClient, NeverSent

pytestmark = pytest.mark.requirement("M7")
INTENT = b'{"id":"pi_1","object":"payment_intent","status":"canceled","amount":1,"currency":"eur","created":1}'


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that hands each connection to `handle`; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_ignoring_hang_up, args=(handle, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _ignoring_hang_up(handle: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        with connection:
            handle(connection)
    except OSError:
        return  # the client gave up, as it should


def gateway(url: str, total: float = 1.0) -> StripeGateway:
    return StripeGateway(
        api_base=url, api_key="sk_test_12345", transport=BoundedClient(connect_seconds=0.5, total_seconds=total)
    )


def once(data: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        while connection.recv(65_536):
            connection.sendall(data)

    return handle


def test_a_provider_that_cannot_be_reached_has_done_nothing():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Transient) as raised:
        gateway(url).retrieve("pi_1")
    assert raised.value.unknown is False
    assert isinstance(raised.value.__cause__, NeverSent)


def test_a_connection_cut_before_the_answer_leaves_it_unknown():
    with serving(lambda connection: connection.recv(65_536) and None) as url, pytest.raises(Transient) as raised:
        gateway(url).retrieve("pi_1")
    assert raised.value.unknown is True


def test_a_silent_provider_is_given_up_in_time():
    started = time.monotonic()
    with serving(lambda connection: time.sleep(5)) as url, pytest.raises(Transient) as raised:
        gateway(url, total=0.3).retrieve("pi_1")
    assert raised.value.unknown is True
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("slowly", [slice(0, 40), slice(-40, None)], ids=["its head", "its body"])
def test_an_answer_that_drips_is_given_up_in_time(slowly):
    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        whole = answer(INTENT)
        dripping = range(len(whole))[slowly]
        for place, byte in enumerate(whole):
            connection.sendall(bytes([byte]))
            time.sleep(0.1 if place in dripping else 0)

    started = time.monotonic()
    with serving(drip) as url, pytest.raises(Transient) as raised:
        gateway(url, total=0.5).retrieve("pi_1")
    assert raised.value.unknown is True
    assert 0.5 <= time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "body",
    [b"<html>", INTENT[:-20], b"{}", b"[]", b'"pi_1"', INTENT.replace(b"canceled", b"strange"), b"\xff\xfe", b""],
)
def test_an_answer_that_cannot_be_read_leaves_it_unknown(body):
    with serving(once(answer(body))) as url, pytest.raises(Transient) as raised:
        gateway(url).confirm("pi_1", key="k")
    assert raised.value.unknown is True


def test_an_endless_answer_is_cut_off():
    def flood(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer(b"").replace(b"Content-Length: 0", b"Content-Length: 99999999"))
        while True:
            connection.sendall(b" " * 65_536)

    with serving(flood) as url, pytest.raises(Transient, match="longer than"):
        gateway(url, total=10).retrieve("pi_1")


@pytest.mark.requirement("M11")
def test_a_throttled_answer_says_when_to_come_back():
    body = b'{"error": {"type": "rate_limit_error", "message": "slow down"}}'
    throttled = answer(body, "429 Too Many Requests", "Retry-After: 7")
    with serving(once(throttled)) as url, pytest.raises(Throttled) as raised:
        gateway(url).retrieve("pi_1")
    assert raised.value.retry_after == 7


def test_a_redirect_is_not_followed():
    elsewhere = answer(b"{}", "302 Found", "Location: http://127.0.0.1:1/")
    with serving(once(elsewhere)) as url, pytest.raises(Transient) as raised:
        gateway(url).retrieve("pi_1")
    assert raised.value.unknown is True


def test_the_connection_is_kept_and_shared_by_threads():
    connections = []

    def count(connection: socket.socket) -> None:
        connections.append(connection)
        once(answer(INTENT))(connection)

    with serving(count) as url:
        shared = gateway(url)
        for _ in range(5):
            thread = threading.Thread(target=shared.retrieve, args=("pi_1",))
            thread.start()
            thread.join()
    assert len(connections) == 1


def test_a_proxy_in_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(once(answer(INTENT))) as url:
        assert gateway(url).retrieve("pi_1").reference == "pi_1"


def test_the_sdk_does_not_retry_by_itself():
    asked = []

    def refuse(connection: socket.socket) -> None:
        while connection.recv(65_536):
            asked.append(1)
            connection.sendall(answer(b'{"error": {"message": "down"}}', "503 Service Unavailable"))

    with serving(refuse) as url, pytest.raises(Transient):
        gateway(url).capture("pi_1", key="k")
    assert asked == [1]


@pytest.mark.django_db
def test_nothing_is_called_while_a_transaction_is_open():
    with serving(once(answer(INTENT))) as url, pytest.raises(TransactionOpen), unit_of_work():
        gateway(url).retrieve("pi_1")


def test_the_answer_in_use_by_another_call_has_done_nothing_for_this_one():
    body = b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "in use"}}'
    with serving(once(answer(body, "409 Conflict"))) as url, pytest.raises(Transient) as raised:
        gateway(url).capture("pi_1", key="k")
    assert raised.value.unknown is False
    assert isinstance(raised.value.__cause__, stripe.StripeError)
