"""Webhooks reach public addresses over https, and nothing else, whatever a URL or a name server says."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpcore
import pytest
from ssrfguard import Address

from outbox.models import WebhookDelivery
from outbox.publishing import unit_of_work
from outbox.webhooks import safety, sending
from outbox.webhooks.safety import GuardedBackend, NotAllowed, check_url
from outbox.webhooks.source import Letter
from tests.shop import busy_shop, shop

__all__ = ["busy_shop", "shop"]
pytestmark = pytest.mark.requirement("M44")

NOT_PUBLIC = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::1", "::", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::", "2001::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
    "ff02::1", "2001:db8::1", "100::1", "::ffff:93.184.216.34", "2002:5db8:d822::1", "64:ff9b::5db8:d822",
]  # fmt: skip
LITERALS = [
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
    "https://0x7f.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:0:0:1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://0/", "https://0.0.0.0/",
    "https://\u2460\u2461\u2466.0.0.1/", "https://[fe80::1%25eth0]/",
]  # fmt: skip
MISSHAPEN = [
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
    "https://user:secret@example.com/", "https://example.com:22/", "https://example.com:6379/", "https://",
    "example.com",
    "https://exa mple.com/", "https://example.com\n.evil/", "https:///path", "https://example.com:99999/",
    "https://example.com\\@127.0.0.1/",
]  # fmt: skip


@contextmanager
def victim() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server on loopback that notes who connects; nobody should."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        connected: list[socket.socket] = []
        yield server.getsockname()[1], connected
        with suppress(TimeoutError):
            connected.append(server.accept()[0])


def answering(*addresses: str):
    """A name server that answers every question with these addresses."""

    def resolve(host, port, family=0, type=0, proto=0, flags=0):
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    return resolve


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_that_leads_to_an_address_of_ours_is_refused_when_the_connection_is_made(address):
    with pytest.raises(NotAllowed) as refused:
        GuardedBackend("https", answering(address)).connect_tcp("hooks.example.com", 443, timeout=1)
    assert address not in str(refused.value), "what a name leads to is not told to whoever asks"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "::ffff:127.0.0.1"])
def test_one_bad_answer_among_good_ones_is_enough_to_refuse(address):
    with pytest.raises(NotAllowed):
        GuardedBackend("https", answering("93.184.216.34", address)).connect_tcp("hooks.example.com", 443, timeout=1)


def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_connected_to(monkeypatch):
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    asked = []
    dialled: list[Address] = []

    def rebinding(host, port, *more):
        asked.append(host)
        return answering(*next(answers))(host, port)

    def connect(addresses, **_):
        dialled.extend(addresses)
        raise OSError("not today")

    monkeypatch.setattr(safety, "connect", connect)
    with pytest.raises(httpcore.ConnectError):
        GuardedBackend("https", rebinding).connect_tcp("rebinding.example.com", 443, timeout=1)
    assert asked == ["rebinding.example.com"]
    assert [str(address.ip) for address in dialled] == ["93.184.216.34"]


@pytest.mark.parametrize("url", LITERALS + MISSHAPEN)
def test_a_url_that_can_be_seen_to_lead_nowhere_allowed_is_refused_before_anything_is_looked_up(url):
    with pytest.raises(NotAllowed):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "https://xn--bcher-kva.example:8443/", "https://93.184.216.34/"]
)
def test_public_addresses_over_https_are_fine(url):
    check_url(url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_victim_on_loopback_is_never_called_though_an_endpoint_names_it(scheme):
    with victim() as (port, connected):
        for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"):
            answered = sending.send(f"{scheme}://{host}:{port}/", Letter("evt_1", b"{}"), ["whsec_" + "A" * 32], 1)
            assert answered.status is None
            assert answered.error.startswith("Webhooks go to public addresses over https")
    assert connected == []


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with victim() as (port, connected):
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        answered = sending.send("https://127.0.0.1:1/", Letter("evt_1", b"{}"), ["whsec_" + "A" * 32], 2)
        assert answered.status is None
    assert connected == []


def test_allowed_networks_open_themselves_and_nothing_else(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    check_url("http://127.0.0.1:8080/hooks")
    check_url("http://[::1]:8080/hooks")
    for url in ("http://10.0.0.1/", "https://10.0.0.1/", "http://93.184.216.34/", "https://93.184.216.34:6379/"):
        with pytest.raises(NotAllowed):
            check_url(url)
    for addresses in (["10.0.0.1"], ["127.0.0.1", "10.0.0.1"]):
        with pytest.raises(NotAllowed):
            GuardedBackend("https", answering(*addresses)).connect_tcp("inside.example.com", 443, timeout=1)
    with pytest.raises(NotAllowed):
        GuardedBackend("http", answering("93.184.216.34")).connect_tcp("plain.example.com", 80, timeout=1)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http://example.com/", "https://example.com:22/", LITERALS[2]])
def test_the_api_says_which_addresses_it_takes(shop, url):
    response = shop.post("webhook_endpoints", {"url": url, "events": ["*"]})
    assert response.status_code == 422
    (fault,) = response.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/url", "not_allowed")
    assert "public addresses over https" in fault["detail"]


def test_an_endpoint_made_before_the_rules_were_tightened_is_refused_at_the_call(busy_shop, settings, drain):
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with victim() as (port, connected):
        endpoint = busy_shop.post("webhook_endpoints", {"url": f"http://127.0.0.1:{port}/", "events": ["*"]}).json()
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        busy_shop.post(f"webhook_endpoints/{endpoint['id']}/test")
        drain(until=lambda: WebhookDelivery.objects.filter(attempts=1).exists())
    assert connected == []
    (delivery,) = busy_shop.get(f"webhook_endpoints/{endpoint['id']}/deliveries").json()["data"]
    assert delivery["attempts"][0]["error"].startswith("Webhooks go to public addresses")


def test_nothing_is_called_while_a_transaction_is_open(transactional_db):
    with unit_of_work(), pytest.raises(Exception, match="while a transaction is open"):
        sending.send("https://example.com/", Letter("evt_1", b"{}"), ["whsec_" + "A" * 32], 3)
