"""localstripe as a child process, reached over loopback HTTP only; nothing of it is imported."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import httpx

logger = logging.getLogger("sandbox.payments")

HOST_PROGRAM = Path(__file__).with_name("localstripe_host.py")
LONGEST_PAUSE_SECONDS = 5.0

Document = dict[str, object]
Pairs = list[tuple[str, str]]


class ProviderUnavailable(Exception):
    """The provider gave no answer, so what it did is not known."""


class Provider:
    """Keeps localstripe running and forwards calls to it.

    The listening socket is ours: calls made while the child restarts wait in its backlog instead of failing.
    """

    def __init__(self, python: str, data: Path) -> None:
        self._python = python
        self._state_file = data / "localstripe.sqlite3"
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.webhook_secret = secrets.token_hex(32)
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._socket.getsockname()[1]}",
            headers={"Authorization": "Bearer sk_test_sandbox"},
            timeout=20,
            trust_env=False,
        )

    async def run(self, on_start: Callable[[], Awaitable[None]]) -> None:
        """Start the child, and again whenever it ends; end it with us. `on_start` is called at each start."""
        pause = 0.1
        while True:
            child = await asyncio.create_subprocess_exec(
                *(self._python, "-I", str(HOST_PROGRAM)),
                *(str(self._socket.fileno()), str(self._state_file), str(os.getpid())),
                pass_fds=[self._socket.fileno()],
            )
            started = asyncio.get_running_loop().time()
            greeting = asyncio.create_task(_greet(on_start))
            try:
                await child.wait()
            finally:
                greeting.cancel()
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            lasted = asyncio.get_running_loop().time() - started
            pause = 0.1 if lasted > 10 else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def call(self, method: str, path: str, pairs: Pairs | None = None) -> tuple[int, Document]:
        """The provider's status and document; raises ProviderUnavailable when it gives none."""
        body = urlencode(pairs or [])
        try:
            if method == "GET":
                answer = await self._client.get(f"{path}?{body}")
            else:
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                answer = await self._client.request(method, path, content=body, headers=form)
            return answer.status_code, cast("Document", answer.json() if answer.content else {})
        except (httpx.HTTPError, ValueError) as failure:
            raise ProviderUnavailable(f"The provider gave no answer: {failure!r}") from failure

    async def subscribe(self, url: str) -> None:
        """Have the provider post its events to `url`; it forgets this when it restarts."""
        await self.call("POST", "/_config/webhooks/front", [("url", url), ("secret", self.webhook_secret)])

    async def answers(self) -> bool:
        try:
            answer = await self._client.get("/v1/events?limit=1", timeout=1)
        except httpx.HTTPError:
            return False
        return answer.is_success


async def _greet(on_start: Callable[[], Awaitable[None]]) -> None:
    try:
        await on_start()
    except ProviderUnavailable as failure:
        logger.warning("The provider ended during its set-up, which its next start repeats: %s", failure)
