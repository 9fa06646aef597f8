"""Disturbs calls to a sandbox as the fault board says."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.sandboxes.faults import CALL_MODES, Fault, FaultBoard
from config.sandboxes.serving import hang_up

ErrorBody = Callable[[int, str], dict[str, object]]


class FaultInjection:
    """Wraps a sandbox's API: only paths under /v1/ are disturbed, the switchboard itself never is."""

    def __init__(self, application: ASGIApp, board: FaultBoard, error_body: ErrorBody) -> None:
        self._application = application
        self._board = board
        self._error_body = error_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._application(scope, receive, send)
            return
        struck = self._board.hits(*CALL_MODES)
        if "latency" in struck:
            await asyncio.sleep(struck["latency"].latency_ms / 1000)
        if "drop" in struck:
            await hang_up(scope)
        elif "error" in struck:
            await self._refusal(struck["error"])(scope, receive, send)
        elif "throttle" in struck:
            await self._throttling(struck["throttle"])(scope, receive, send)
        elif "timeout_after_success" in struck:
            await self._work_then_silence(scope, receive, struck["timeout_after_success"].latency_ms / 1000)
        elif "garbage" in struck:
            await self._work_then_garbage(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _refusal(self, fault: Fault) -> Response:
        return JSONResponse(self._error_body(fault.status, "An injected error."), fault.status)

    def _throttling(self, fault: Fault) -> Response:
        body = self._error_body(429, "Too many requests: an injected limit.")
        return JSONResponse(body, 429, headers={"Retry-After": str(math.ceil(fault.retry_after_s))})

    async def _work_then_silence(self, scope: Scope, receive: Receive, seconds: float) -> None:
        await self._answer(scope, receive)
        with suppress(TimeoutError):
            await asyncio.wait_for(_caller_gone(receive), seconds)
        await hang_up(scope)

    async def _work_then_garbage(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._answer(scope, receive)
        half = body[: len(body) // 2] or b"{"
        await Response(half, 200, media_type="application/json")(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        """Let the sandbox do the work; answer the body that it meant for its caller."""
        body = bytearray()

        async def keep(message: Message) -> None:
            body.extend(message.get("body", b""))

        await self._application(scope, receive, keep)
        return bytes(body)


async def _caller_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
