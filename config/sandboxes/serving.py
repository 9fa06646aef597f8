"""Runs a sandbox's application on a loopback port, able to hang up on a caller without an answer."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger("sandbox")

_TRANSPORT = "sandbox.transport"


class HangUpProtocol(H11Protocol):
    """HTTP/1.1 that tells the application its transport, which ASGI itself keeps hidden."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        application = cast("ASGIApp", self.app)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


async def hang_up(scope: Scope) -> None:
    """Close the caller's connection without another byte."""
    cast("asyncio.Transport", scope[_TRANSPORT]).abort()
    # The server learns of it one turn of the loop later; before that it would answer 500 for us.
    await asyncio.sleep(0)


@asynccontextmanager
async def background(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run endless work beside the server. Work that fails ends the process: whoever supervises it starts it afresh."""
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_stop_on_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _stop_on_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()):
        logger.critical("Work in the background failed; stopping.", exc_info=failure)
        os.kill(os.getpid(), signal.SIGTERM)


def serve(application: ASGIApp, port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; calls under way get three seconds to end."""
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        http=HangUpProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )
