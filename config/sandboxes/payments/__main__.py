"""Runs the payment sandbox: `python -m config.sandboxes.payments --help`."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp

from config.sandboxes.callbacks import CallbackSender
from config.sandboxes.faults import FaultBoard
from config.sandboxes.injection import FaultInjection
from config.sandboxes.payments.api import PROVIDER_EVENTS_PATH, PaymentsApi
from config.sandboxes.payments.errors import error_body
from config.sandboxes.payments.events import Events, signer
from config.sandboxes.payments.front import Front
from config.sandboxes.payments.keys import IdempotencyKeys
from config.sandboxes.payments.methods import PaymentMethods
from config.sandboxes.payments.provider import Provider
from config.sandboxes.payments.records import Records
from config.sandboxes.serving import background, serve
from config.sandboxes.store import Store
from config.sandboxes.switchboard import PeerUnavailable, Switchboard, peer_unavailable

CALLBACKS_RETRIED_SECONDS = 600
# The provider sends an event one second after it happened: so far back one may have been lost in a crash.
EVENTS_LOOKED_BACK = 50


class PaymentsSandbox:
    """The parts of the sandbox, put together."""

    def __init__(self, options: argparse.Namespace) -> None:
        store = Store(options.data / "payments.sqlite3")
        self.board = FaultBoard(store)
        self.callbacks = CallbackSender(
            *(store, self.board, options.callback_url, signer(options.webhook_secret)),
            give_up_after_seconds=CALLBACKS_RETRIED_SECONDS,
        )
        self.provider = Provider(options.localstripe_python, options.data)
        self.records = Records(store)
        self.keys = IdempotencyKeys(store)
        self.methods = PaymentMethods(store, self.provider)
        self.events = Events(store, self.records, self.callbacks)
        self.front = Front(store, self.provider, self.records, self.methods, self.events)
        self.port: int = options.port
        self.ready = asyncio.Event()
        self.switchboard = Switchboard(
            *("payments", self.board),
            ledger=self.records.ledger,
            forget_keys=self.keys.forget,
            healthy=self.healthy,
            peer_url=options.peer_url,
        )

    def application(self) -> ASGIApp:
        @asynccontextmanager
        async def lifespan(application: Starlette) -> AsyncIterator[None]:
            async with background(self.callbacks.run(), self.provider.run(self.provider_started)):
                yield

        api = PaymentsApi(self.front, self.provider, self.records, self.keys, self.methods)
        routes = [*self.switchboard.routes(), *api.routes(self.events)]
        inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers={PeerUnavailable: peer_unavailable})
        return FaultInjection(inner, self.board, error_body)

    async def provider_started(self) -> None:
        """Bring front and provider into step: events we missed, changes that broke off."""
        await self.provider.subscribe(f"http://127.0.0.1:{self.port}{PROVIDER_EVENTS_PATH}")
        await self.front.recover(search=self.keys.unanswered())
        await self.catch_up()
        self.ready.set()

    async def catch_up(self) -> None:
        pairs = [("limit", "1000000")]
        if after := self.records.last_provider_event(EVENTS_LOOKED_BACK):
            pairs.append(("starting_after", after))
        _, found = await self.provider.call("GET", "/v1/events", pairs)
        events = found["data"]
        assert isinstance(events, list)
        for raw in events:
            self.events.accept(raw, self.front.snapshot)

    async def healthy(self) -> bool:
        return self.ready.is_set() and await self.provider.answers()


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.sandboxes.payments", description="Payments for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--localstripe-python", required=True, help="interpreter of the environment with localstripe")
    parser.add_argument("--callback-url", required=True)
    parser.add_argument("--data", type=Path, required=True, help="directory that keeps its state")
    parser.add_argument("--webhook-secret", default=os.environ.get("PAYMENT_WEBHOOK_SECRET"))
    parser.add_argument("--peer-url", help="the carrier sandbox, for which this switchboard then speaks too")
    options = parser.parse_args(arguments)
    if not options.webhook_secret:
        parser.error("give --webhook-secret or set PAYMENT_WEBHOOK_SECRET")
    if not Path(options.localstripe_python).exists():
        parser.error(
            f"{options.localstripe_python} is missing: make an environment with localstripe and name its python"
        )
    return options


if __name__ == "__main__":
    chosen = parse_options()
    serve(PaymentsSandbox(chosen).application(), chosen.port)
