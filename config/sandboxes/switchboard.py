"""The control surface of the sandboxes: faults, ledger, idempotency keys, health.

Every sandbox serves it for itself; the one that knows its peer's address speaks for both.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from config.sandboxes.faults import TARGETS, FaultBoard, InvalidFault, parse_fault

Entries = list[dict[str, object]]

GUIDE = """The switchboard of Tandem's sandboxes

GET    /ledger             what the providers believe: payments and labels
GET    /faults             the faults in force
POST   /faults             switch one on: {"target": "payments", "mode": "error", "rate": 0.3, "for_s": 30}
                           targets: payments, carrier
                           modes: latency, error, throttle, timeout_after_success, drop, garbage,
                           duplicate_callbacks, reorder_callbacks
                           also: latency_ms, status, retry_after_s
DELETE /faults             switch all off
DELETE /idempotency_keys   forget every key
DELETE /capture_failures   let captures of pm_card_captureFails succeed; POST: let them fail again
GET    /health             200 when ready
"""


class PeerUnavailable(Exception):
    """The other sandbox does not answer, so nothing can be said or done in its name."""


@dataclass
class Peer:
    """The other sandbox's switchboard."""

    url: str
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=10, trust_env=False))

    async def ask(self, method: str, path: str, document: object = None) -> httpx.Response:
        try:
            return await self.client.request(method, self.url.rstrip("/") + path, json=document)
        except httpx.HTTPError as failure:
            raise PeerUnavailable(f"The sandbox at {self.url} does not answer ({failure!r}); try again.") from failure


class Switchboard:
    """The control routes of one sandbox, `target`, and through `peer_url` of the other one."""

    def __init__(
        self,
        target: str,
        board: FaultBoard,
        *,
        ledger: Callable[[], Entries],
        forget_keys: Callable[[], int],
        healthy: Callable[[], Awaitable[bool]],
        peer_url: str | None = None,
    ) -> None:
        self._target = target
        self._board = board
        self._ledger = ledger
        self._forget_keys = forget_keys
        self._healthy = healthy
        self._peer = Peer(peer_url) if peer_url else None

    def routes(self) -> list[Route]:
        return [
            Route("/", self.guide),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/ledger", self.ledger),
            Route("/idempotency_keys", self.forget_keys, methods=["DELETE"]),
            Route("/health", self.health),
        ]

    async def guide(self, request: Request) -> Response:
        return PlainTextResponse(GUIDE)

    async def add_fault(self, request: Request) -> Response:
        try:
            described = json.loads(await request.body())
            fault = parse_fault(described)
        except ValueError as problem:
            name = problem.field if isinstance(problem, InvalidFault) else ""
            message = str(problem) if isinstance(problem, InvalidFault) else "The body must be JSON."
            return JSONResponse({"error": {"field": name, "message": message}}, 400)
        if fault.target == self._target:
            return JSONResponse(self._board.add(fault).described(), 201)
        if self._peer is None:
            message = f"No {fault.target} sandbox is reached through this switchboard."
            return JSONResponse({"error": {"field": "target", "message": message}}, 400)
        answer = await self._peer.ask("POST", "/faults", described)
        return JSONResponse(answer.json(), answer.status_code)

    async def list_faults(self, request: Request) -> Response:
        faults: list[object] = [fault.described() for fault in self._board.active()]
        if self._peer:
            faults += (await self._peer.ask("GET", "/faults")).json()["faults"]
        return JSONResponse({"faults": faults})

    async def clear_faults(self, request: Request) -> Response:
        cleared = self._board.clear()
        if self._peer:
            cleared += (await self._peer.ask("DELETE", "/faults")).json()["cleared"]
        return JSONResponse({"cleared": cleared})

    async def ledger(self, request: Request) -> Response:
        ledger: dict[str, Entries] = {"payments": [], "labels": []}
        if self._peer:
            ledger |= (await self._peer.ask("GET", "/ledger")).json()
        ledger["payments" if self._target == TARGETS[0] else "labels"] = self._ledger()
        return JSONResponse(ledger)

    async def forget_keys(self, request: Request) -> Response:
        forgotten = self._forget_keys()
        if self._peer:
            forgotten += (await self._peer.ask("DELETE", "/idempotency_keys")).json()["forgotten"]
        return JSONResponse({"forgotten": forgotten})

    async def health(self, request: Request) -> Response:
        healthy = await self._healthy()
        status, code = ("ok", 200) if healthy else ("starting", 503)
        return JSONResponse({"status": status, "sandbox": self._target}, code)


async def peer_unavailable(request: Request, problem: Exception) -> Response:
    """How a switchboard answers when its peer is away."""
    return JSONResponse({"error": {"message": str(problem)}}, 503, headers={"Retry-After": "1"})
