"""Starts the sandboxes as real processes and listens for their callbacks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import stripe

from config.runtime.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LOCALSTRIPE_PYTHON = Path(os.environ.get("TANDEM_SANDBOX_PYTHON", ROOT / ".venv-sandbox/bin/python"))
PAYMENT_SECRET = "whsec_for_tests"
CARRIER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CARRIER_KEY = "carrier-key-for-tests"
PATIENCE_SECONDS = 20

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within: float = PATIENCE_SECONDS) -> T:
    """The first true thing that `look` sees."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {within} s"
        time.sleep(0.02)
    return seen


@dataclass
class Callback:
    headers: dict[str, str]
    body: str

    @property
    def document(self) -> dict:
        return json.loads(self.body)


class Receiver:
    """Takes callbacks on a port of its own; can be told to refuse them, and be away."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/callbacks"
        self.taken: list[Callback] = []
        self.refused = 0
        self.refusing = False
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if receiver.refusing:
                    receiver.refused += 1
                else:
                    receiver.taken.append(Callback(dict(self.headers.items()), body))
                self.send_response(503 if receiver.refusing else 204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def about(self, field_name: str, value: str) -> list[dict]:
        """The documents taken in which `field_name` (or the object's id) is `value`."""
        documents = [callback.document for callback in list(self.taken)]
        return [document for document in documents if value in (document.get(field_name), _subject(document))]


def _subject(document: dict) -> str | None:
    subject = document.get("data", {}).get("object", {})
    return subject.get("payment_intent") or subject.get("id")


@dataclass
class Sandbox:
    """One sandbox process; `start` again after `kill` continues on the same port and data."""

    command: list[str]
    port: int
    process: subprocess.Popen | None = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT)
        eventually(self._healthy)

    def _healthy(self) -> bool:
        assert self.process.poll() is None, "the sandbox ended at its start"
        try:
            return self.client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self.process is not None:
            self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(10)
        self.process = None

    def fault(self, **described: object) -> None:
        answer = self.client.post("/faults", json=described)
        assert answer.status_code == 201, answer.text

    def payment(self, intent: str) -> dict:
        """The ledger's entry of one payment."""
        return next(entry for entry in self.client.get("/ledger").json()["payments"] if entry["id"] == intent)

    def stripe(self) -> stripe.StripeClient:
        base = {"api": self.url}
        return stripe.StripeClient("sk_test_12345", base_addresses=base, max_network_retries=0)


def payments_sandbox(data: Path, callback_url: str, *more: str) -> Sandbox:
    port = free_port()
    command = [sys.executable, "-m", "config.sandboxes.payments", "--port", str(port)]
    command += ["--localstripe-python", str(LOCALSTRIPE_PYTHON), "--callback-url", callback_url]
    return Sandbox([*command, "--webhook-secret", PAYMENT_SECRET, "--data", str(data), *more], port)


def carrier_sandbox(data: Path, callback_url: str, *more: str) -> Sandbox:
    port = free_port()
    command = [sys.executable, "-m", "config.sandboxes.carrier", "--port", str(port), "--callback-url", callback_url]
    command += ["--api-key", CARRIER_KEY, "--webhook-secret", CARRIER_SECRET, "--data", str(data)]
    return Sandbox([*command, "--collect-after", "0.3", "--deliver-after", "0.3", *more], port)
