"""Where webhooks may go: public addresses over https, checked after the name was resolved, when the connection is made.

The addresses are judged by `ssrfguard`, which resolves a name once, looks at every answer, and connects to one that it
has looked at; so a name that points elsewhere a moment later leads nowhere else. Neither redirects nor proxies are
followed (outbox/http.py). WEBHOOK_ALLOWED_NETWORKS opens further networks, over http and on any port.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_network

import httpcore
from httpcore._backends.sync import SyncStream  # the one stream over a plain socket that httpcore has
from ssrfguard import (
    DEFAULT_DENIED,
    Address,
    AddressTable,
    Block,
    Policy,
    Reach,
    Resolver,
    SSRFGuardError,
    Target,
    connect,
    resolve,
)

from outbox.conf import conf

PORTS = frozenset({443, 8443})
MAX_URL_CHARACTERS = 2_000
ADDRESSES_TRIED = 2
REFUSED = AddressTable(
    (
        *(
            replace(block, reach=Reach.DENIED) if block.reach is Reach.TRANSLATED else block
            for block in DEFAULT_DENIED.blocks
        ),
        Block(ip_network("168.63.129.16/32"), "Azure's platform", "", Reach.DENIED),
    )
)
"""What the library refuses; besides, every address that carries another one inside (IPv4-mapped, 6to4, NAT64), and a
public one behind which a cloud answers its own machines."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class NotAllowed(Exception):
    """The endpoint is at an address that webhooks may not go to. Says what is allowed, never what was found."""


@lru_cache(maxsize=8)
def _policy(networks: tuple[str, ...]) -> Policy:
    """Return what may be reached at all; without `networks` that is what strangers may name."""
    return Policy(
        allowed_schemes=frozenset({"https", "http"} if networks else {"https"}),
        allowed_ports=frozenset(range(1, 65_536)) if networks else PORTS,
        denied_networks=REFUSED,
        allowed_networks=tuple(ip_network(network) for network in networks),
        max_connection_attempts=ADDRESSES_TRIED,
        max_url_length=MAX_URL_CHARACTERS,
    )


def check_url(url: str) -> None:
    """Raise NotAllowed for a URL that can be seen to lead nowhere allowed, before any name is looked up."""
    networks = tuple(conf.WEBHOOK_ALLOWED_NETWORKS)
    try:
        target = _policy(networks).check_url(url)
        _check_not_a_number(target)
        if networks and target.address is not None:
            _check_public(target.scheme, target.port, [target.address.compressed])
    except SSRFGuardError as error:
        raise NotAllowed(_in_words()) from error


def _check_not_a_number(target: Target) -> None:
    """Raise NotAllowed for a name that resolvers read as an address, such as 0x7f.1."""
    if target.address is None and _NUMBER.fullmatch(target.host.rstrip(".").rpartition(".")[2]):
        raise NotAllowed(_in_words())


def _in_words() -> str:
    ports = " or ".join(str(port) for port in sorted(PORTS))
    return f"Webhooks go to public addresses over https, on port {ports}, without a user name in the URL."


def _check_public(scheme: str, port: int, addresses: Iterable[str]) -> None:
    """Raise NotAllowed unless all is as strangers may have it, or every address is in an allowed network."""
    networks = _policy(tuple(conf.WEBHOOK_ALLOWED_NETWORKS)).allowed_networks
    inside = all(any(address in network for network in networks) for address in map(ip_address, addresses))
    if not inside and (scheme != "https" or port not in PORTS):
        raise NotAllowed(_in_words())


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to addresses that it has checked, and to no others."""

    def __init__(self, scheme: str, resolver: Resolver | None = None) -> None:
        self._scheme, self._resolver = scheme, resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect. Raises NotAllowed, and httpcore's errors."""
        policy = _policy(tuple(conf.WEBHOOK_ALLOWED_NETWORKS))
        try:
            target = policy.check_url(_origin(self._scheme, host, port))
            addresses = resolve(target, policy=policy, resolver=self._resolver)
            _check_public(self._scheme, port, [str(address.ip) for address in addresses])
            return SyncStream(self._connect(addresses, policy, timeout, socket_options))
        except SSRFGuardError as error:
            raise NotAllowed(_in_words()) from error
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    @staticmethod
    def _connect(
        addresses: tuple[Address, ...],
        policy: Policy,
        timeout: float | None,
        options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> socket.socket:
        return connect(addresses, policy=policy, timeout=timeout, socket_options=[*(options or ()), _NO_DELAY])

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: a file has no address that could be checked."""
        raise NotAllowed(_in_words())


def _origin(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
