"""A customer's own server: verifies what it gets with a package that nobody here wrote, and answers as told."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {}, b"thanks")


@dataclass
class Receiver:
    """Listens on a port of its own until it is closed."""

    answer: Callable[[int], Answer] = lambda number: OK
    """What it answers to the n-th request, from 1."""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    at_once: int = 0
    """Requests that were under way together, at most."""

    def __post_init__(self) -> None:
        self._lock, self._now = threading.Lock(), 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks"

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            self.got.append((headers, body))
            number = len(self.got)
        try:
            return self.answer(number)
        finally:
            with self._lock:
                self._now -= 1

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The events it got, each verified with `secret`; raises for a signature that is not right."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.got]

    def types(self, secret: str) -> list[str]:
        return [event["type"] for event in self.verified(secret)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = receiver.take(headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
