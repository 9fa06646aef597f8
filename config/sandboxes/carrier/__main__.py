"""Runs the carrier sandbox: `python -m config.sandboxes.carrier --help`."""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.types import ASGIApp

from config.sandboxes.callbacks import CallbackSender, Signer
from config.sandboxes.carrier.api import CarrierApi, error_body
from config.sandboxes.carrier.labels import Labels
from config.sandboxes.faults import FaultBoard
from config.sandboxes.injection import FaultInjection
from config.sandboxes.serving import background, serve
from config.sandboxes.store import Store
from config.sandboxes.switchboard import Switchboard

CALLBACKS_RETRIED_SECONDS = 24 * 3600


def signer(secret: str) -> Signer:
    """Signs callbacks as Standard Webhooks ask, with a fresh time at each attempt."""
    webhook = Webhook(secret)

    def sign(callback_id: str, body: str) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "webhook-id": callback_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(callback_id, now, body),
        }

    return sign


def build(options: argparse.Namespace) -> ASGIApp:
    """The whole sandbox as one application."""
    store = Store(options.data / "carrier.sqlite3")
    board = FaultBoard(store)
    callbacks = CallbackSender(
        *(store, board, options.callback_url, signer(options.webhook_secret)),
        give_up_after_seconds=CALLBACKS_RETRIED_SECONDS,
    )
    labels = Labels(store, callbacks, collect_after=options.collect_after, deliver_after=options.deliver_after)
    switchboard = Switchboard("carrier", board, ledger=labels.ledger, forget_keys=labels.forget_keys, healthy=_healthy)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with background(callbacks.run(), labels.travel()):
            yield

    routes = [*switchboard.routes(), *CarrierApi(labels, options.api_key).routes()]
    return FaultInjection(Starlette(routes=routes, lifespan=lifespan), board, error_body)


async def _healthy() -> bool:
    return True


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.sandboxes.carrier", description="A carrier for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--callback-url", required=True)
    parser.add_argument("--data", type=Path, required=True, help="directory that keeps its state")
    parser.add_argument("--api-key", default=os.environ.get("CARRIER_API_KEY"))
    parser.add_argument("--webhook-secret", default=os.environ.get("CARRIER_WEBHOOK_SECRET"), help="whsec_ and base64")
    parser.add_argument("--collect-after", type=float, default=1.0, help="seconds until a ready parcel is collected")
    parser.add_argument("--deliver-after", type=float, default=2.0, help="seconds from collection to delivery")
    options = parser.parse_args(arguments)
    if not options.api_key or not options.webhook_secret:
        parser.error("give --api-key and --webhook-secret, or set CARRIER_API_KEY and CARRIER_WEBHOOK_SECRET")
    return options


if __name__ == "__main__":
    chosen = parse_options()
    serve(build(chosen), chosen.port)
