"""Free TCP ports on this machine."""

import secrets
import socket

# Beneath the range the kernel hands out to outgoing connections, so that a port stays free between two starts.
FIRST, LAST = 20_000, 32_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    return obstacle(port, host) is None


def obstacle(port: int, host: str) -> OSError | None:
    """What keeps a server from listening on `port` now; nothing when it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def free_port(preferred: int | None = None) -> int:
    """`preferred` when it is free, else a random free port: links and settings survive a restart where they can."""
    if preferred and is_free(preferred):
        return preferred
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)  # no seed: two test runs with one seed would meet
        if is_free(port):
            return port
