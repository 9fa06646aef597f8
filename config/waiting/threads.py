"""The synchronous site as the asynchronous layer calls it: on a fixed pool of threads, one hop there and one back.

Requests come in whole (intake.py) and answers go out whole, so nothing is handed over between the thread and the event
loop but these two.
"""

import asyncio
import io
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from config.waiting.inner import Answer, Receive, Scope, Send


class Threads:
    """A WSGI application as an ASGI one; each thread keeps its own database connection."""

    def __init__(self, site: WSGIApplication, count: int) -> None:
        self._site = site
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="site")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose body arrives as one event."""
        body = (await receive()).get("body", b"")
        work = partial(self._answer, environ_of(scope, body))
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        answer = Answer(500, [], b"")

        def start(status: str, headers: list[tuple[str, str]], _error: object = None) -> Any:
            answer.status = int(status[:3])
            answer.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            return self._write

        parts: Iterable[bytes] = self._site(environ, start)
        try:
            answer.body = b"".join(parts)
        finally:
            if close := getattr(parts, "close", None):
                close()
        return answer

    @staticmethod
    def _write(_part: bytes) -> None:
        raise NotImplementedError("The site answers by what it returns, as Django does")


def environ_of(scope: Scope, body: bytes) -> WSGIEnvironment:
    """Return a request as WSGI (PEP 3333) describes it."""
    server, client = scope.get("server") or ("localhost", 80), scope.get("client")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,  # also when it came in chunks, without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **({"REMOTE_ADDR": client[0]} if client else {}),
    }
    for name, value in scope["headers"]:
        key = _KEYS.get(name) or f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        separator = "; " if name == b"cookie" else ","
        environ[key] = f"{environ[key]}{separator}{text}" if key in environ else text
    return environ


_KEYS = {b"content-length": "CONTENT_LENGTH", b"content-type": "CONTENT_TYPE"}
